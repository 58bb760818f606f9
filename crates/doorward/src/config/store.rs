//! `[store]`: where durable state is kept.

use std::path::{Path, PathBuf};

use doorward_core::secret::SecretText;

use super::section::{Key, Section};

/// Where durable state is kept.
pub struct Store {
    path: PathBuf,
    url: Option<SecretText>,
    /// The file the address came from, if it came from one.
    pub url_file: Option<PathBuf>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "path",
        "\"doorward-data/doorward.db\"",
        "The SQLite file. Its directory must be closed to other users of the machine.",
    ),
    Key::secret(
        "url",
        "\"${DOORWARD_STORE_URL}\"",
        "A PostgreSQL database instead of the file: postgres://user:password@host:5432/database. TLS is demanded of a \
         server on another machine unless it says ?sslmode=disable.",
    ),
    Key::optional("url_file", "\"/etc/doorward/store.url\"", "A file that holds the url instead. Mode 0600."),
];

impl Store {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let path = section.path("path");
        let given = section.is_given("url") || section.is_given("url_file");
        let from_file = section.is_given("url_file");
        let url = if given { section.secret("url", "url_file").map(Some) } else { Some(None) };
        let url_file = from_file.then(|| section.path("url_file")).flatten();
        section.finish();
        Some(Self { path: path?, url: url?, url_file })
    }

    /// A store that is gone when it is closed.
    pub(crate) fn in_memory() -> Self {
        Self { path: ":memory:".into(), url: None, url_file: None }
    }

    /// A SQLite file that no configuration names.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf(), url: None, url_file: None }
    }

    /// What the store's library opens. It may hold a password.
    #[must_use]
    pub fn address(&self) -> SecretText {
        match &self.url {
            Some(url) => url.clone(),
            None => SecretText::new(format!("sqlite:{}", self.path.display())),
        }
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> String {
        doorward_store::migrate::name(self.address().expose())
    }

    /// Where the data lies, for people: a directory, or a database.
    #[must_use]
    pub fn place(&self) -> String {
        match self.file().map(|file| file.parent().unwrap_or(file)) {
            Some(directory) => directory.display().to_string(),
            None => self.name(),
        }
    }

    /// The SQLite file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.url.is_none().then_some(&*self.path)
    }

    /// Whether there is something to open: a database is always asked.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.file().is_none_or(Path::exists)
    }
}
