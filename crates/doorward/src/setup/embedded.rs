//! What an application that Doorward is part of is made from.

use std::path::PathBuf;

use doorward_core::random::{Random, bytes};

use super::{DATABASE, Gathered, MASTER_KEY, Mode, Setup, private_directory};
use crate::cli::{Failure, Surroundings};
use crate::config::{Problem, Sources, Store};
use crate::refusals::{self, Judged};
use crate::secrets::create_master_key;

/// Where an application keeps Doorward's state.
#[derive(Debug, Clone, Default)]
pub(crate) enum Embedded {
    /// Where its settings say.
    #[default]
    Configured,
    /// All of it in a directory, as `dev` keeps it.
    Directory(PathBuf),
    /// Nowhere.
    Memory,
}

impl Setup {
    /// For an application: what is kept where others could read it is refused as for `serve`, unless the place is one for development.
    ///
    /// # Errors
    /// Everything that is wrong and everything that is refused, at once.
    pub(crate) fn embedded(
        place: &Embedded,
        mut sources: Sources,
        surroundings: &Surroundings,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        let own = |name: &str, value: String| (name.to_owned(), value);
        match place {
            Embedded::Configured => {
                let mut gathered = Gathered::read(&sources, surroundings)?;
                let judged = Judged {
                    config: &gathered.config,
                    platforms: &gathered.platforms,
                    shared_secrets: &gathered.shared_secrets,
                    model: gathered.model.as_ref(),
                };
                let found = refusals::judge(judged).into_iter().filter(is_the_applications);
                gathered.problems.extend(found);
                Ok(gathered.complete(Mode::Serve, surroundings)?)
            }
            Embedded::Directory(directory) => {
                private_directory(directory)?;
                let refused = |what: String| Failure::refused(what, "give another directory");
                let key = directory.join(MASTER_KEY);
                create_master_key(&key, random).map_err(|error| refused(error.to_string()))?;
                for (name, path) in
                    [("store.path", directory.join(DATABASE)), ("secrets.master_key_file", key)]
                {
                    let shown = path.display().to_string();
                    let text = path.into_os_string().into_string();
                    sources
                        .defaults
                        .push(own(name, text.map_err(|_| refused(format!("{shown} is not UTF-8")))?));
                }
                Ok(Self::read(Mode::Dev, &sources, surroundings)?)
            }
            Embedded::Memory => {
                let key = bytes::<32>(random).iter().map(|byte| format!("{byte:02x}")).collect();
                sources.defaults.push(own("secrets.master_key", key));
                let mut setup = Self::read(Mode::Dev, &sources, surroundings)?;
                setup.config.store = Store::in_memory();
                Ok(setup)
            }
        }
    }
}

/// Where the application listens, and by what name, is its own business.
fn is_the_applications(problem: &Problem) -> bool {
    !problem.key.starts_with("server.listen") && !problem.key.starts_with("server.tls")
}
