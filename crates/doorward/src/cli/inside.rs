//! Commands work on the store directly, through the same engine as a server, as Doorward itself. A server on the
//! same store hears of it through the store's change feed.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::Action;
use doorward_core::id::UserId;
use doorward_core::identity::model::User;
use doorward_core::operation::{Call, Permit};
use doorward_core::ports::store::Users as _;
use doorward_core::principal::{LOCAL, Principal};

use super::{Failure, StoreOptions, Surroundings};
use crate::assemble::{Assembled, assemble_with};
use crate::config::nearest::nearest;
use crate::handlers::Start;
use crate::setup::Setup;

/// An engine on a store, and the one who asks it: the command line.
pub(crate) struct Inside {
    pub(crate) assembled: Assembled,
    call: Call,
}

impl Inside {
    /// The command line, asking this engine.
    pub(crate) fn of(assembled: Assembled) -> Self {
        let native = assembled.mounts.first().expect("a native mount is always there");
        let call = assembled.engine.system_call(&native.mount, "command-line");
        Self { assembled, call }
    }

    /// Leave to do `A` to whatever `target` is.
    pub(crate) fn permit<A: Action>(&self, target: Target<'_>) -> Result<Permit<A>, Failure> {
        Ok(self.call.permit(target)?)
    }

    /// The user that `text` names: an id in either form, a user name or an e-mail address.
    pub(crate) async fn user(&self, text: &str) -> Result<User, Failure> {
        let store = &self.assembled.store;
        let found = match store.user(&UserId::of_either(text)).await {
            Ok(Some(user)) => Ok(Some(user)),
            Ok(None) => store.user_by_login(&doorward_core::identity::validate::fold(text)).await,
            Err(error) => Err(error),
        };
        found.map_err(doorward_core::error::Error::from)?.ok_or_else(|| {
            Failure::refused(format!("there is no user {text:?}"), "`doorward user list` shows who there is")
        })
    }

    /// The principal that `key` spells, such as `company|ann`, and whether anybody here vouches for such ones. What looks like a
    /// slip is refused: it must not look like success. Another name may be one that a server has from flags of its own, and
    /// what has to be revoked has to be revoked.
    pub(crate) fn principal(&self, key: &str) -> Result<(Principal, bool), Failure> {
        let principal = Principal::of_owner_key(key).ok_or_else(|| {
            let mend = "write it as the audit log does: local|usr_…, or the name of an issuer or mount, |, and its subject";
            Failure::refused(format!("{key:?} names nobody"), mend)
        })?;
        let mut known = vec![LOCAL.to_owned()];
        for mounted in &self.assembled.mounts {
            known.push(mounted.mount.tokens.authority.to_string());
            known.extend(mounted.config.issuers.iter().cloned());
            known.extend(mounted.config.remote_tokens.clone());
            // Whom a backend of the operator's own lets in is called by the mount.
            let custom = mounted.mount.chain.names().any(|method| method == "custom");
            known.extend(custom.then(|| mounted.mount.name.to_string()));
            known.extend(
                mounted.config.trusted_header.as_ref().map(|_| format!("{}/proxy", mounted.mount.name)),
            );
        }
        known.sort_unstable();
        known.dedup();
        let authority = &*principal.authority;
        if known.iter().any(|name| authority == name || authority.starts_with(&format!("{name}/"))) {
            return Ok((principal, true));
        }
        match nearest(authority, known.iter().map(String::as_str)) {
            Some(near) => {
                let what = format!("nobody here is called {authority:?} and vouches for anybody");
                Err(Failure::refused(what, format!("did you mean {near}?")))
            }
            None => Ok((principal, false)),
        }
    }

    /// A caller at the mount called `name`.
    pub(crate) fn at_mount(&self, name: &str) -> Result<Call, Failure> {
        let mounts = &self.assembled.mounts;
        match mounts.iter().find(|mounted| &*mounted.mount.name == name) {
            Some(mounted) => Ok(self.assembled.engine.system_call(&mounted.mount, "command-line")),
            None => {
                let names: Vec<&str> = mounts.iter().map(|mounted| &*mounted.mount.name).collect();
                let mend = match nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are: {}", names.join(", ")),
                };
                Err(Failure::refused(format!("there is no mount {name:?}"), mend))
            }
        }
    }
}

/// Opens the store, does `work`, and lets what it wrote be finished.
pub(crate) fn inside<T>(
    options: &StoreOptions,
    surroundings: &Surroundings,
    work: impl AsyncFnOnce(&Inside) -> Result<T, Failure>,
) -> Result<T, Failure> {
    inside_of(&options.setup(surroundings)?, work)
}

/// As [`inside`], on what was read already.
pub(crate) fn inside_of<T>(
    setup: &Setup,
    work: impl AsyncFnOnce(&Inside) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let inside = Inside::of(assemble_with(setup, Start::None).await?);
        let done = work(&inside).await;
        inside.assembled.close().await;
        done
    })
}
