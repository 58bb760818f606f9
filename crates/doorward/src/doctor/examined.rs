//! What is looked at: a configuration, and its store, opened to be looked at.

use doorward_core::clock::Clock as _;
use doorward_core::ports::store::SealedKeys as _;
use doorward_store::{Options, SqlStore};
use tokio::sync::SetOnce;

use super::checks::store;
use super::finding::Finding;
use crate::assemble::assemble_to_look;
use crate::cli::Inside;
use crate::clock::SystemClock;
use crate::setup::{Mode, Setup};

/// What is looked at.
pub(crate) struct Examined {
    pub(crate) setup: Setup,
    pub(crate) now_ms: i64,
    /// The engine on the store, where it could be opened, once that is known. It cannot write, and is not asked to.
    inside: SetOnce<Option<Inside>>,
}

impl Examined {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, now_ms: SystemClock.now_ms(), inside: SetOnce::new() }
    }

    /// Opens the store, and says what keeps it from being opened.
    pub(super) async fn open(&self) -> Vec<Finding> {
        let (inside, found) = match opened(&self.setup).await {
            Ok(inside) => (Some(inside), Vec::new()),
            Err(finding) => (None, vec![finding]),
        };
        // Nobody waits any more if it took too long.
        let _ = self.inside.set(inside);
        found
    }

    /// Ends the waiting for a store that was not opened.
    pub(super) fn will_not_open(&self) {
        let _ = self.inside.set(None);
    }

    /// The engine on the store, if it opens. For checks that say that they need it.
    pub(crate) async fn inside(&self) -> Option<&Inside> {
        self.inside.wait().await.as_ref()
    }

    /// Whether others depend on this server, so that what is doubtful is a problem.
    pub(crate) fn is_for_others(&self) -> bool {
        self.setup.mode == Mode::Serve
    }
}

async fn opened(setup: &Setup) -> Result<Inside, Finding> {
    let check = &store::CHECK;
    let config = &setup.config.store;
    if !config.is_there() {
        let what = format!("there is no store at {}", config.name());
        return Err(check.warning(what, "start the server, which makes it, or correct store.path"));
    }
    let address = config.address();
    let unusable = |error: doorward_core::ports::StoreError| {
        let what = format!("the store {} cannot be used: {error}", config.name());
        check.problem(
            what,
            "look at the path or address, the disk and the permissions; restore a backup if it is damaged",
        )
    };
    let lacking = doorward_store::pending(address.expose()).map_err(unusable)?;
    if !lacking.is_empty() {
        let what = format!("the store lacks {} changes of its schema", lacking.len());
        return Err(check.warning(what, "back it up, then start the server, which makes them"));
    }
    let look = SqlStore::open(address.expose(), &Options { read_only: true, ..Options::default() });
    let purposes = look.map_err(unusable)?.key_purposes().await.map_err(unusable)?;
    if purposes.is_empty() {
        return Err(check.warning("no server has used the store yet", "start it"));
    }
    match assemble_to_look(setup).await {
        Ok(assembled) => Ok(Inside::of(assembled)),
        Err(failure) => Err(check.problem(failure.what, failure.mend)),
    }
}
