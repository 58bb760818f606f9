//! Where links of letters lead, and links that administrators make.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::proofs::{Challenge, LinkFor, Links, MadeLink, Purpose};
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::admin::{not_admin, refused};
use super::style::Fault;
use super::views::{self, Moments};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// What takes proofs, within the mount.
const VERIFY: &str = "/auth/v1/verify";

/// The links of a letter. `redirect_to` of the query says where somebody wants to go in the end.
///
/// # Errors
/// As [`Request::own_origin`] and [`Request::query`].
pub(super) fn of(request: &Request) -> Result<Links> {
    let own = request.own_origin()?;
    let wanted = request.query()?.text("redirect_to").map(str::to_owned);
    let verify = format!("{own}{}{VERIFY}", request.site.public_prefix);
    Ok(Links { verify, own: format!("{own}/"), wanted, challenge: None })
}

/// The links of a letter for whoever asks with a challenge, or with none (RFC 7636 §4.3).
///
/// # Errors
/// As [`of`] and [`Challenge::asked`].
pub(super) fn asked(request: &Request, challenge: Option<&str>, method: Option<&str>) -> Result<Links> {
    let challenge = Challenge::asked(challenge, method)?;
    Ok(Links { challenge, ..of(request)? })
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "type")]
    kind: Option<String>,
    email: Option<String>,
    new_email: Option<String>,
    password: Option<SecretText>,
    data: Option<Map<String, Value>>,
    redirect_to: Option<String>,
}

fn purpose(kind: &str) -> Option<Purpose> {
    Some(match kind {
        "signup" => Purpose::SignUp,
        "invite" => Purpose::Invite,
        "magiclink" => Purpose::MagicLink,
        "recovery" => Purpose::Recovery,
        "email_change_current" => Purpose::EmailChangeCurrent,
        "email_change_new" => Purpose::EmailChange,
        _ => return None,
    })
}

/// `POST /admin/generate_link`: the link of a letter, without the letter.
pub(super) async fn generate(mut request: Request) -> Result<Answer> {
    let (made, kind) = match make(&mut request, None).await {
        Ok(made) => made,
        Err(error) => return refused(&request, error),
    };
    let Some(made) = made else {
        let message = "Invalid email action link type requested";
        return Ok(Fault::new(400, "validation_failed", message).answer(request.about()));
    };
    let mut view = views::user(&made.user, &request.site.mount, sent(&made));
    let MadeLink { link, token, digits, purpose, go_to, .. } = made;
    view["action_link"] = link.expose().as_str().into();
    view["email_otp"] = digits.expose().as_str().into();
    view["hashed_token"] = token.expose().as_str().into();
    let moves = matches!(purpose, Purpose::EmailChange | Purpose::EmailChangeCurrent);
    view["verification_type"] = if moves { kind.as_str().into() } else { purpose.as_str().into() };
    view["redirect_to"] = go_to.into();
    Ok(json_answer(StatusCode::OK, &view))
}

/// When a letter with this link was sent: that is when it was made, whoever passes it on.
fn sent(made: &MadeLink) -> Moments {
    let at_ms = Some(made.at_ms);
    match made.purpose {
        Purpose::SignUp | Purpose::Invite => Moments { confirmation_sent_at_ms: at_ms, ..Moments::default() },
        Purpose::MagicLink | Purpose::Recovery => {
            Moments { recovery_sent_at_ms: at_ms, ..Moments::default() }
        }
        // The account itself says it.
        Purpose::EmailChange | Purpose::EmailChangeCurrent | Purpose::Reauthentication => Moments::default(),
    }
}

/// `POST /invite`: an account for an address, and a letter to it.
pub(super) async fn invite(mut request: Request) -> Result<Answer> {
    match make(&mut request, Some("invite")).await {
        Ok((Some(made), _)) => {
            let view = views::user(&made.user, &request.site.mount, sent(&made));
            Ok(json_answer(StatusCode::OK, &view))
        }
        Ok((None, _)) => Err(Error::new(codes::INTERNAL).operator("an invitation is a kind of link")),
        Err(error) => refused(&request, error),
    }
}

/// What was made, or `None` for a kind of link that there is not; and the kind.
async fn make(request: &mut Request, sent_as: Option<&str>) -> Result<(Option<MadeLink>, String)> {
    request.may::<user::Administer>().map_err(not_admin)?;
    let links = of(request)?;
    let body: Wanted = request.json().await?;
    let kind = sent_as.map(str::to_owned).or(body.kind).unwrap_or_default();
    let Some(purpose) = purpose(&kind) else { return Ok((None, kind)) };
    let missing = || Error::new(codes::BAD_FIELD).message("An email address is required");
    let email = body.email.ok_or_else(missing)?;
    let links = Links { wanted: links.wanted.or(body.redirect_to), ..links };
    let permit = request.permit::<user::Administer>(Target::any())?;
    let wanted = LinkFor {
        purpose,
        email: &email,
        new_email: body.new_email.as_deref(),
        password: body.password,
        user_metadata: body.data.unwrap_or_default(),
        sent: sent_as.is_some(),
    };
    Ok((Some(request.engine.proofs().make_link(permit, wanted, &links).await?), kind))
}
