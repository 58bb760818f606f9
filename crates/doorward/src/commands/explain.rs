//! `doorward explain`: may somebody do something, and which rule says so.

use clap::Parser;
use doorward_core::authn::Presented;
use doorward_core::authn::methods::{api_key, own_token};
use doorward_core::authz::areas;
use doorward_core::authz::catalogue::ActionDef;
use doorward_core::authz::filter::Filter;
use doorward_core::authz::roles::USER;
use doorward_core::authz::{Explanation, Target, explain};
use doorward_core::error::Error;
use doorward_core::id::{ApiKeyId, SessionId, ThreadId, UserId};
use doorward_core::mount::Mount;
use doorward_core::ports::store::{
    ApiKeys as _, OwnershipClaims as _, Sessions as _, Threads as _, Users as _,
};
use doorward_core::principal::{AuthContext, Principal};
use serde_json::json;

use crate::cli::{Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside};
use crate::config::find_action;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Explain>("explain");

/// Say whether somebody may do something, and by which rule
///
/// Asks the very function that decides requests, on the store as it is now. Nothing is done and nothing is written.
#[derive(Parser)]
#[command(
    name = "explain",
    after_help = "\
Examples:
  doorward explain --principal ada --action thread:read --resource thr_…
  doorward explain --principal key_… --action user:administer
  doorward explain --principal anonymous --action thread:create --json
  doorward explain --principal ada --action thread:read --resource t1 --mount agentflow
  doorward explain --principal ada --action area:read --resource reports

Exit codes: 0 allowed, 1 denied, 2 asked wrongly."
)]
struct Explain {
    /// Who: a user's id, user name or e-mail address; an API key's id (key_…); a caller of an issuer as the audit log spells it,
    /// such as 'company|ann'; or anonymous
    #[arg(long, value_name = "WHO")]
    principal: String,
    /// What, such as thread:read; docs/reference/actions.md has them all
    #[arg(long, value_name = "RESOURCE:ACTION", value_parser = action)]
    action: &'static ActionDef,
    /// The id of what it is done to
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// The mount it is asked through, for threads and what an upstream keeps [default: native]
    #[arg(long, value_name = "NAME", default_value = "native")]
    mount: String,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

fn action(text: &str) -> Result<&'static ActionDef, String> {
    find_action(text).map_err(|mend| format!("there is no such action; {mend}"))
}

impl Run for Explain {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let explained = inside(&self.store, surroundings, async |inside| {
            let mount = inside.at_mount(&self.mount)?.mount;
            let auth = caller(inside, &mount, &self.principal).await?;
            let owner = match &self.resource {
                Some(id) => Some(owner(inside, self.action.resource, id, &self.mount).await?),
                None => None,
            };
            let target = Target {
                id: self.resource.as_deref(),
                owner: owner.as_ref().and_then(|found| found.as_deref()),
                mount: &mount.name,
            };
            let explained = explain(inside.assembled.engine.roles(), &auth, self.action, target);
            Ok((explained, matches!(owner, Some(None))))
        });
        let (explained, is_unowned) = explained?;
        self.answer(&explained, is_unowned)
    }
}

impl Explain {
    fn answer(&self, explained: &Explanation, is_unowned: bool) -> Result<(), Failure> {
        let mut steps = explained.steps();
        if is_unowned {
            let what = "No such resource is owned here: whoever may do the action is told \"not found\".";
            steps.push(what.to_owned());
        }
        let refusal = explained.refusal();
        let rule = explained.denial.map(|denial| denial.rule());
        let value = json!({
            "allowed": rule.is_none(),
            "rule": rule,
            "status": refusal.map(|(status, _)| status),
            "code": refusal.map(|(_, code)| code),
            "action": self.action.to_string(),
            "resource": self.resource,
            "principal": explained.principal,
            "owner": explained.owner,
            "steps": steps,
        });
        self.output.answer(&value, || {
            let verdict = match (rule, refusal) {
                (Some(rule), Some((status, code))) => {
                    format!("denied by the rule \"{rule}\": {status} {code}")
                }
                _ => "allowed".to_owned(),
            };
            let steps = steps.iter().enumerate().map(|(at, step)| format!("\n  {}. {step}", at + 1));
            format!("{} by {}: {verdict}{}", self.action, explained.principal, steps.collect::<String>())
        })?;
        if rule.is_none() { Ok(()) } else { Err(Failure::silent()) }
    }
}

/// The caller as the mount's chain or the everyday credential makes it: nobody, a person logged in, or a program with its
/// key. What would not be let in at all is refused here as it would be there.
async fn caller(inside: &Inside, mount: &Mount, who: &str) -> Result<AuthContext, Failure> {
    if who == "anonymous" {
        return Ok((*mount.chain.authenticate(&Presented::nothing()).await?).clone());
    }
    if who.contains('|') {
        let (principal, _) = inside.principal(who)?;
        return match principal.user_id() {
            Some(id) => {
                Ok(own_token::caller(&inside.user(id.as_str()).await?, inside.assembled.engine.now_ms())?)
            }
            // What others' tokens say of roles is not known here: a plain user, as without a word of it.
            None => Ok(AuthContext {
                principal,
                method: "external_jwt",
                ..AuthContext::anonymous(vec![USER.into()])
            }),
        };
    }
    let store = &inside.assembled.store;
    let Some(key) = store.api_key(&ApiKeyId::from(who)).await.map_err(Error::from)? else {
        return Ok(own_token::caller(&inside.user(who).await?, inside.assembled.engine.now_ms())?);
    };
    let user = store.user(&key.owner).await.map_err(Error::from)?;
    let gone = || Failure::refused("the key's owner is gone", "such a key lets nobody in");
    Ok(api_key::caller(&inside.assembled.engine, &key, &user.ok_or_else(gone)?)?)
}

/// Whose a resource is, as the services find it out.
async fn owner(inside: &Inside, resource: &str, id: &str, mount: &str) -> Result<Option<String>, Failure> {
    let store = &inside.assembled.store;
    let local = |user: &UserId| Principal::local(user).owner_key();
    let found = match resource {
        "area" => return Ok(Some(areas::OWNER.to_owned())),
        "user" => return Ok(Some(local(&inside.user(id).await?.id))),
        "api_key" => {
            let key = store.api_key(&ApiKeyId::from(id)).await.map_err(Error::from)?;
            key.map(|key| local(&key.owner))
        }
        "session" => {
            let session = store.session(&SessionId::from(id)).await.map_err(Error::from)?;
            session.map(|session| local(&session.user))
        }
        "thread" | "message" | "run" | "graph" => {
            let here =
                store.thread(mount, &ThreadId::from(id), &Filter::Everything).await.map_err(Error::from)?;
            match here {
                Some(thread) => Some(thread.owner),
                None => store.owner_of(mount, "thread", id).await.map_err(Error::from)?,
            }
        }
        other => store.owner_of(mount, other, id).await.map_err(Error::from)?,
    };
    Ok(found)
}
