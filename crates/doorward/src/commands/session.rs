//! `doorward session`: people's stays.

use clap::{Args, Parser, Subcommand};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::id::SessionId;
use doorward_core::identity::sessions::Which;
use doorward_core::principal::Principal;
use serde_json::json;

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, table,
};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Sessions>("session");

/// List and end people's sessions
#[derive(Parser)]
#[command(
    name = "session",
    after_help = "\
Examples:
  doorward session list --user ada
  doorward session end ses_0123456789abcdef
  doorward session end --user ada"
)]
struct Sessions {
    #[command(subcommand)]
    what: What,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// List the sessions of a user that go on
    #[command(after_help = "Example:\n  doorward session list --user ada --json")]
    List {
        /// Whose: id, user name or e-mail address
        #[arg(long, value_name = "USER")]
        user: String,
        #[command(flatten)]
        common: Common,
    },
    /// End a session, or all of a user, with their tokens
    #[command(
        after_help = "Examples:\n  doorward session end ses_0123456789abcdef\n  doorward session end --user ada"
    )]
    End {
        /// The session's id
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        id: Option<String>,
        /// End all of this user's: id, user name or e-mail address
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

impl Run for Sessions {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::List { user, common } => list(&user, &common, surroundings),
            What::End { id, user, common } => {
                let ended = inside(&common.store, surroundings, async |inside: &Inside| {
                    end(inside, id, user.as_deref()).await
                })?;
                common.output.answer(&json!({ "ended": ended }), || match ended {
                    1 => "Ended one session.".to_owned(),
                    more => format!("Ended {more} sessions."),
                })
            }
        }
    }
}

async fn end(inside: &Inside, id: Option<String>, user: Option<&str>) -> Result<usize, Failure> {
    let sessions = inside.assembled.engine.sessions();
    let (whose, which, target_id) = match (id, user) {
        (Some(id), _) => {
            let id = SessionId::from(id);
            (sessions.owner(&id).await?, Which::One(id.clone()), id.to_string())
        }
        (None, user) => {
            let user = inside.user(user.unwrap_or_default()).await?.id;
            (user.clone(), Which::All, user.to_string())
        }
    };
    let owner = Principal::local(&whose).owner_key();
    let permit = inside.permit::<session::End>(Target::owned(&target_id, &owner))?;
    Ok(sessions.end(permit, &whose, which).await?)
}

fn list(user: &str, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(user).await?.id;
        let owner = Principal::local(&id).owner_key();
        let permit = inside.permit::<session::Read>(Target::owned(id.as_str(), &owner))?;
        Ok(inside.assembled.engine.sessions().list(permit, &id).await?)
    })?;
    common.output.answer(&found, || {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let rows: Vec<_> = found
            .iter()
            .map(|session| {
                vec![
                    session.id.to_string(),
                    session.mount.clone(),
                    or_dash(&session.origin.source),
                    or_dash(&session.origin.device),
                    or_dash(&session.origin.address),
                    moment(session.created_at_ms),
                    moment(session.last_seen_at_ms),
                    moment(session.expires_at_ms),
                ]
            })
            .collect();
        table(&["id", "mount", "source", "device", "address", "began", "last seen", "ends"], &rows)
    })
}
