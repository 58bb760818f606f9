//! Coming back from a provider, whatever page a browser left for it.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, user};
use doorward_core::error::Result;
use doorward_core::login::{Answered, Arrived, Attempt, Came};

use crate::http::pairs::Pairs;
use crate::request::Request;

/// What a browser brings in the query of a callback (RFC 6749 §4.1.2, RFC 9207).
pub(crate) fn answered(query: &Pairs) -> Answered {
    let text = |name: &str| query.text(name).map(str::to_owned);
    Answered { code: text("code"), error: text("error"), iss: text("iss") }
}

/// Logs in whoever comes back; strangers with an account of their own, where that is open to them.
///
/// # Errors
/// As `Logins::finish` and `Logins::welcome`.
pub(crate) async fn come_in(request: &Request, attempt: &Attempt, answered: &Answered) -> Result<Came> {
    let logins = request.engine.logins();
    let permit = request.permit::<session::Login>(Target::any())?;
    match logins.finish(permit, attempt, answered).await? {
        Arrived::Known(came) => Ok(came),
        Arrived::Stranger(stranger) => {
            let (newcomer, permit) = *stranger;
            match request.permit::<user::SignUp>(Target::any()) {
                Ok(sign_up) => logins.welcome(permit, sign_up, newcomer).await,
                Err(error) => permit.close(Err(error)),
            }
        }
    }
}
