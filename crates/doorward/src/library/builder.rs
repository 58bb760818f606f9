//! From what an application says to an engine: a typed face of the configuration that the server reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::authz::roles::defaults;
use doorward_core::authz::{Catalogue, catalogue::ActionDef};
use doorward_core::clock::Clock;
use doorward_core::events::Hook;
use doorward_core::secret::SecretText;

use super::embedded::Doorward;
use super::error::BuildError;
use crate::assemble::{Around, assemble_in};
use crate::cli::{Failure, Surroundings};
use crate::config::{self, Flag, Sources};
use crate::handlers::Start;
use crate::refusals;
use crate::setup::{Embedded, Setup};

/// Where settings of the builder's come from, in what is said of them.
const FLAG: &str = "the builder";
/// The mount that is always there.
const NATIVE: &str = "native";

/// A role of the application's own.
///
/// ```
/// use doorward::Role;
///
/// // Writes reports of her own, and reads everybody's.
/// let analyst = Role::new("analyst").inherits("user").allows("report:create").allows("report:read@any");
/// ```
#[derive(Debug, Clone)]
pub struct Role {
    name: String,
    inherits: Vec<String>,
    permissions: Vec<String>,
}

impl Role {
    /// A role that allows nothing yet. One of a built-in role's name replaces that.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), inherits: Vec::new(), permissions: Vec::new() }
    }

    /// Adds everything that another role allows.
    #[must_use]
    pub fn inherits(mut self, role: impl Into<String>) -> Self {
        self.inherits.push(role.into());
        self
    }

    /// Adds a permission: `resource:action` or `resource:*` for the holder's own things, with `@any` behind for anybody's.
    #[must_use]
    pub fn allows(mut self, permission: impl Into<String>) -> Self {
        self.permissions.push(permission.into());
        self
    }
}

/// Makes a [`Doorward`]. Says where it keeps its state, and what differs from the defaults.
#[derive(Default)]
#[must_use = "nothing is made before build"]
pub struct Builder {
    place: Embedded,
    settings: Vec<(String, SecretText)>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    roles: Vec<Role>,
    allowed: Vec<(String, Vec<String>)>,
    actions: Vec<&'static ActionDef>,
    clock: Option<Arc<dyn Clock>>,
    hooks: Vec<Arc<dyn Hook>>,
    mount: Option<String>,
    open_sign_up: bool,
}

impl Builder {
    /// State that is gone with the [`Doorward`], under a key that nobody knows: for tests.
    pub fn in_memory(mut self) -> Self {
        self.place = Embedded::Memory;
        self
    }

    /// State and master key in one directory, made for this user alone if it is not there: for development, as `doorward dev` does it with
    /// `--data-dir`. Doubtful settings are warned about instead of refused.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Embedded::Directory(path.into());
        self
    }

    /// State in a SQLite file. Its directory must be closed to other users of the machine, and the master key stands elsewhere.
    pub fn sqlite(self, path: impl AsRef<Path>) -> Self {
        self.at("store.path", path.as_ref())
    }

    /// State in a PostgreSQL database, `postgres://user:password@host/database`: several processes may share it.
    pub fn postgres(self, url: impl Into<SecretText>) -> Self {
        self.put("store.url", url.into())
    }

    /// The file with the key that everything at rest is sealed under: 32 bytes as hex or base64, mode 0600.
    pub fn master_key_file(self, path: impl AsRef<Path>) -> Self {
        self.at("secrets.master_key_file", path.as_ref())
    }

    /// That key itself, where something else keeps it.
    pub fn master_key(self, key: impl Into<SecretText>) -> Self {
        self.put("secrets.master_key", key.into())
    }

    /// A configuration file as the server reads it: issuers, limits, mail, webhooks, roles. What the builder says counts before it.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Variables that count as the environment does for the server: `DOORWARD__SECTION__KEY`, and what `${NAME}` in the file stands for.
    /// The process's own environment is read only if it is handed in here.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// One setting of the configuration, such as `tokens.access_ttl_s`; lists are separated by commas. `docs/reference/configuration.md`
    /// lists them.
    pub fn setting(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.put(&key.into(), SecretText::new(value.into()))
    }

    /// Strangers may make accounts, at the mount that counts: [`Caller::sign_up`](crate::Caller::sign_up). By default only administrators do.
    pub fn open_sign_up(mut self) -> Self {
        self.open_sign_up = true;
        self
    }

    /// Declares actions of the application's own: the table that [`actions!`](crate::actions) makes for a resource type. Undeclared ones are
    /// nobody's to do.
    pub fn actions(mut self, actions: &[&'static ActionDef]) -> Self {
        self.actions.extend_from_slice(actions);
        self
    }

    /// Defines a role, or replaces a built-in one.
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds permissions to a role, which keeps what it has.
    pub fn allow<P: Into<String>>(
        mut self,
        role: impl Into<String>,
        permissions: impl IntoIterator<Item = P>,
    ) -> Self {
        self.allowed.push((role.into(), permissions.into_iter().map(Into::into).collect()));
        self
    }

    /// Tells a function of this process what happens: log-ins, revocations, refusals.
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// The mount whose methods, tokens and rules count, where the configuration has several. By default `native`. One where a platform's
    /// handlers decide what callers may do is refused: extractors have nothing to ask them about.
    pub fn mount(mut self, name: impl Into<String>) -> Self {
        self.mount = Some(name.into());
        self
    }

    /// Another clock: tests stop it and set it forward.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens the store, makes what a new one needs, and starts what goes on beside requests. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Everything that is wrong with the settings at once, the roles, the actions, or the store. What `doorward serve` would refuse is refused
    /// here too, but in [`Builder::directory`] and [`Builder::in_memory`].
    pub async fn build(mut self) -> Result<Doorward, BuildError> {
        let mount = self.mount.take().unwrap_or_else(|| NATIVE.to_owned());
        if self.open_sign_up {
            // Which mount counts is known only now.
            self = self.setting(format!("mounts.{mount}.sign_up"), "open");
        }
        let catalogue = Catalogue::with(&self.actions)?;
        let surroundings = Surroundings { environment: self.environment };
        let flag =
            |(key, value): (String, SecretText)| Flag { key, value: value.expose().clone(), flag: FLAG };
        let sources = Sources {
            file: self.file,
            environment: surroundings.environment.clone(),
            flags: self.settings.into_iter().map(flag).collect(),
            catalogue: catalogue.clone(),
            ..Sources::default()
        };
        let usual = Around::default();
        let mut setup = Setup::embedded(&self.place, sources, &surroundings, &*usual.random)?;
        if setup.asks_handlers(&mount) {
            return Err(BuildError::Handlers(mount));
        }
        for Role { name, inherits, permissions } in self.roles {
            setup.config.roles.insert(name, config::Role { inherits, permissions });
        }
        let built_in = defaults();
        for (role, permissions) in self.allowed {
            let usual = || {
                let known = built_in.get(&role)?;
                let (inherits, permissions) = (known.inherits.clone(), known.permissions.clone());
                Some(config::Role { inherits, permissions })
            };
            let known = match setup.config.roles.remove(&role).or_else(usual) {
                Some(known) => known,
                None => {
                    let what = format!("allow: there is no role {role:?}");
                    return Err(Failure::refused(what, "define it with Builder::role").into());
                }
            };
            let permissions = known.permissions.into_iter().chain(permissions).collect();
            setup.config.roles.insert(role, config::Role { permissions, ..known });
        }
        for warning in refusals::warnings(&setup) {
            tracing::warn!("{warning}");
        }
        let around = Around {
            clock: self.clock.unwrap_or(usual.clock),
            random: usual.random,
            hooks: self.hooks,
            catalogue,
        };
        let assembled = assemble_in(&setup, Start::All, around).await?;
        match self.place {
            Embedded::Memory => assembled.engine.start_alone(),
            Embedded::Configured | Embedded::Directory(_) => assembled.engine.start(),
        }
        Doorward::over(assembled, &setup, &mount)
    }

    fn put(mut self, key: &str, value: SecretText) -> Self {
        self.settings.push((key.to_owned(), value));
        self
    }

    /// A path that is no UTF-8 names no file; the store's own words say so.
    fn at(self, key: &str, path: &Path) -> Self {
        let text = path.to_string_lossy().into_owned();
        self.put(key, SecretText::new(text))
    }
}
