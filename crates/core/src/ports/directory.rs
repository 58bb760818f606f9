//! A directory of people, which knows their passwords. One implementation speaks LDAP (`doorward-outbound`).

use std::fmt;

use futures_util::future::BoxFuture;

use crate::secret::SecretText;

/// Somebody who has proven to a directory who they are, in its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it never gives to somebody else.
    pub subject: String,
    /// A user name.
    pub username: Option<String>,
    /// A name to show.
    pub name: Option<String>,
    /// An address that the operator says counts as proven.
    pub email: Option<String>,
    /// The roles of their groups; `None` where the operator names no groups, and roles are given here.
    pub roles: Option<Vec<String>>,
}

/// Why a directory says nothing of somebody. The texts are for operators, and have nothing in them that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryError {
    /// It cannot be asked now.
    Away(String),
    /// It was asked the wrong way: the settings and the directory do not fit.
    Misled(String),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the directory cannot be asked: {why}"),
            Self::Misled(why) => write!(f, "the directory does not answer as it should: {why}"),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// Whoever knows people by a name and a password.
pub trait Directory: Send + Sync {
    /// Who vouches for its subjects.
    fn authority(&self) -> &str;

    /// Who this is; `None` where the name is nobody's or the password is not theirs.
    fn prove<'a>(
        &'a self,
        login: &'a str,
        password: &'a SecretText,
    ) -> BoxFuture<'a, Result<Option<Known>, DirectoryError>>;
}
