//! Who somebody is by their password in a directory (LDAP, RFC 4511), on the operator's own server.
//!
//! ```text
//! connect ─ TLS ─► bind as the reader ─► search the person: exactly one ─► groups ─► bind as the person: that is the proof
//! ```
//! What people type reaches the server as one escaped value of a filter (RFC 4515 §3) and as a password, never as a name to bind with.
//! No password, no bind: servers take an empty one for nobody and say yes (RFC 4513 §5.1.2). Referrals are not followed. A connection is
//! for one question, five seconds for all of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::ports::directory::{Directory, DirectoryError, Known};
use doorward_core::secret::SecretText;
use futures_util::future::BoxFuture;
use ldap3::{
    Ldap as Connection, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, ldap_escape,
};
use tokio_rustls::rustls::ClientConfig;

use crate::client::{Settings, tls};
use crate::smtp::Protection;

/// For everything about one person.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most groups that are looked at.
const MOST_GROUPS: i32 = 500;
/// Where the person's name stands in `filter`, and the entry's in `group_filter`.
const LOGIN: &str = "{login}";
const DN: &str = "{dn}";
/// The result code of a wrong password (RFC 4511 appendix A.1), and of a search that found more than it was asked for.
const INVALID_CREDENTIALS: u32 = 49;
const SIZE_LIMIT: u32 = 4;

/// What an operator says of the directory.
#[derive(Clone)]
pub struct LdapSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub protection: Protection,
    /// PEM certificates of authorities to believe beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whom to read it as, and the password; nobody where it lets everybody read.
    pub reader: Option<(String, SecretText)>,
    /// Beneath which entry people are.
    pub base: String,
    /// Which of them somebody is, such as `(uid={login})`.
    pub filter: String,
    /// The attribute that is never given to somebody else.
    pub subject: String,
    /// The attribute with a user name.
    pub username: Option<String>,
    /// The attribute with a name to show.
    pub name: Option<String>,
    /// The attribute with an address that counts as proven.
    pub email: Option<String>,
    /// Beneath which entry groups are; without one nobody is in any.
    pub group_base: Option<String>,
    /// Which groups somebody is in, such as `(member={dn})`.
    pub group_filter: String,
    /// Roles, and the names of the groups whose people have them.
    pub roles: Vec<(String, String)>,
}

/// The directory.
pub struct Ldap {
    settings: LdapSettings,
    url: String,
    authority: String,
    tls: Arc<ClientConfig>,
    /// As [`plain_dn`] spells the names.
    roles: Vec<(String, String)>,
}

impl Ldap {
    /// A way to the directory; nothing is connected yet.
    ///
    /// # Errors
    /// The setting that cannot be used, and what about it.
    pub fn new(settings: LdapSettings) -> Result<Self, (&'static str, String)> {
        let whole = |key, filter: &str, hole: &str| match filter.contains(hole) {
            false => Err((key, format!("it does not say where {hole} stands"))),
            true => match ldap3::parse_filter(filter.replace(hole, "x")) {
                Ok(_) => Ok(()),
                Err(()) => Err((key, format!("{filter} is no filter (RFC 4515)"))),
            },
        };
        whole("filter", &settings.filter, LOGIN)?;
        if settings.group_base.is_some() {
            whole("group_filter", &settings.group_filter, DN)?;
        }
        let scheme = if settings.protection == Protection::Tls { "ldaps" } else { "ldap" };
        let host =
            if settings.host.contains(':') { format!("[{}]", settings.host) } else { settings.host.clone() };
        let tls = tls(&Settings { allow: Vec::new(), ca_file: settings.ca_file.clone() })
            .map_err(|error| ("ca_file", format!("{error:?}")))?;
        let roles = settings.roles.iter().map(|(role, group)| (role.clone(), plain_dn(group))).collect();
        Ok(Self {
            url: format!("{scheme}://{host}:{}", settings.port),
            // Whoever moves the server keeps the people: their subjects are the directory's own.
            authority: format!("ldap:{}", plain_dn(&settings.base)),
            tls: Arc::new(tls),
            roles,
            settings,
        })
    }

    async fn connect(&self) -> Result<Connection, DirectoryError> {
        let how = LdapConnSettings::new()
            .set_conn_timeout(PATIENCE)
            .set_config(Arc::clone(&self.tls))
            .set_starttls(self.settings.protection == Protection::StartTls);
        let (driver, connection) =
            LdapConnAsync::with_settings(how, &self.url).await.map_err(|error| away(&error))?;
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(%error, "a connection to the directory ended");
            }
        });
        Ok(connection)
    }

    async fn ask(&self, login: &str, password: &SecretText) -> Result<Option<Known>, DirectoryError> {
        let mut connection = self.connect().await?;
        let answered = self.ask_on(&mut connection, login, password).await;
        // The proof is in; whether the server hears goodbye does not matter.
        let _ = connection.unbind().await;
        answered
    }

    async fn ask_on(
        &self,
        connection: &mut Connection,
        login: &str,
        password: &SecretText,
    ) -> Result<Option<Known>, DirectoryError> {
        if let Some((dn, secret)) = &self.settings.reader {
            let bound = connection.simple_bind(dn, secret.expose()).await.map_err(|error| away(&error))?;
            if bound.rc != 0 {
                return Err(DirectoryError::Misled(format!("it does not let {dn} in: result {}", bound.rc)));
            }
        }
        let Some(person) = self.person(connection, login).await? else { return Ok(None) };
        let groups = self.groups(connection, &person.dn).await?;
        let bound =
            connection.simple_bind(&person.dn, password.expose()).await.map_err(|error| away(&error))?;
        match bound.rc {
            0 => self.known(&person, &groups).map(Some),
            INVALID_CREDENTIALS => Ok(None),
            // Locked, expired, to be changed first: for the person no different from a wrong password, for the log it is.
            rc => {
                tracing::info!(result = rc, "the directory lets somebody in no more");
                Ok(None)
            }
        }
    }

    /// The one entry that is meant; more than one mean nobody.
    async fn person(
        &self,
        connection: &mut Connection,
        login: &str,
    ) -> Result<Option<SearchEntry>, DirectoryError> {
        let filter = self.settings.filter.replace(LOGIN, &ldap_escape(login));
        let wanted = [
            Some(&self.settings.subject),
            self.settings.username.as_ref(),
            self.settings.name.as_ref(),
            self.settings.email.as_ref(),
        ];
        let wanted: Vec<&String> = wanted.into_iter().flatten().collect();
        let mut found = search(connection, &self.settings.base, &filter, &wanted, 2).await?;
        match found.len() {
            1 => Ok(found.pop()),
            0 => Ok(None),
            _ => Err(DirectoryError::Misled("its filter finds more than one entry for a name".to_owned())),
        }
    }

    async fn groups(&self, connection: &mut Connection, dn: &str) -> Result<Vec<String>, DirectoryError> {
        let Some(base) = self.settings.group_base.as_ref().filter(|_| !self.roles.is_empty()) else {
            return Ok(Vec::new());
        };
        let filter = self.settings.group_filter.replace(DN, &ldap_escape(dn));
        let none = String::from("1.1");
        let found = search(connection, base, &filter, &[&none], MOST_GROUPS).await?;
        Ok(found.into_iter().map(|entry| plain_dn(&entry.dn)).collect())
    }

    fn known(&self, person: &SearchEntry, groups: &[String]) -> Result<Known, DirectoryError> {
        let text = |name: &Option<String>| name.as_ref().and_then(|name| first(person, name));
        let subject = first(person, &self.settings.subject).ok_or_else(|| {
            DirectoryError::Misled(format!(
                "an entry has no {}, or one that is no text",
                self.settings.subject
            ))
        })?;
        let mut roles: Vec<String> = Vec::new();
        for (role, group) in &self.roles {
            if groups.contains(group) && !roles.contains(role) {
                roles.push(role.clone());
            }
        }
        Ok(Known {
            subject,
            username: text(&self.settings.username),
            name: text(&self.settings.name),
            email: text(&self.settings.email),
            roles: (!self.roles.is_empty()).then_some(roles),
        })
    }
}

impl Directory for Ldap {
    fn authority(&self) -> &str {
        &self.authority
    }

    fn prove<'a>(
        &'a self,
        login: &'a str,
        password: &'a SecretText,
    ) -> BoxFuture<'a, Result<Option<Known>, DirectoryError>> {
        Box::pin(async move {
            if login.is_empty() || password.expose().is_empty() {
                return Ok(None);
            }
            let late = || DirectoryError::Away("it took more than five seconds".to_owned());
            tokio::time::timeout(PATIENCE, self.ask(login, password)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

async fn search(
    connection: &mut Connection,
    base: &str,
    filter: &str,
    attributes: &[&String],
    most: i32,
) -> Result<Vec<SearchEntry>, DirectoryError> {
    let attributes: Vec<&str> = attributes.iter().map(|name| name.as_str()).collect();
    let options = ldap3::SearchOptions::new().sizelimit(most).timelimit(PATIENCE.as_secs() as i32);
    connection.with_search_options(options);
    let found =
        connection.search(base, Scope::Subtree, filter, attributes).await.map_err(|error| away(&error))?;
    let (entries, result) = (found.0, found.1);
    if result.rc != 0 && result.rc != SIZE_LIMIT {
        return Err(DirectoryError::Misled(format!("a search beneath {base} was answered {}", result.rc)));
    }
    let entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
    Ok(entries.map(SearchEntry::construct).collect())
}

/// The first value of an attribute, whose name is written in any case.
fn first(entry: &SearchEntry, name: &str) -> Option<String> {
    let (_, values) = entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    values.first().filter(|value| !value.is_empty()).cloned()
}

/// One spelling of a name: small letters, no blanks around `,` and `=` (RFC 4514 §2 lets servers write it in many).
fn plain_dn(dn: &str) -> String {
    let mut plain = String::with_capacity(dn.len());
    let mut escaped = false;
    for part in dn.trim().to_lowercase().split_inclusive([',', '=']) {
        let (text, mark) = match part.chars().last().filter(|c| matches!(c, ',' | '=')) {
            Some(mark) => (&part[..part.len() - 1], Some(mark)),
            None => (part, None),
        };
        // A blank behind an escaped comma belongs to the value.
        plain.push_str(if escaped { text } else { text.trim_start() });
        escaped = text.ends_with('\\');
        if !escaped {
            plain.truncate(plain.trim_end().len());
        }
        plain.extend(mark);
    }
    plain
}

/// What went wrong, without what was sent.
fn away(error: &LdapError) -> DirectoryError {
    DirectoryError::Away(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> LdapSettings {
        LdapSettings {
            host: "127.0.0.1".into(),
            port: 389,
            protection: Protection::None,
            ca_file: None,
            reader: None,
            base: "ou=People, dc=Example,dc=org".into(),
            filter: "(uid={login})".into(),
            subject: "entryUUID".into(),
            username: None,
            name: None,
            email: None,
            group_base: Some("ou=groups,dc=example,dc=org".into()),
            group_filter: "(member={dn})".into(),
            roles: vec![],
        }
    }

    #[test]
    fn names_have_one_spelling() {
        for (dn, plain) in [
            ("CN=Admins, OU=Groups ,DC=Example,DC=org", "cn=admins,ou=groups,dc=example,dc=org"),
            ("cn=a\\, b,dc=org", "cn=a\\, b,dc=org"),
            (" cn = x , dc=org ", "cn=x,dc=org"),
            ("", ""),
        ] {
            assert_eq!(plain_dn(dn), plain, "{dn}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_anybody_comes() {
        for (filter, good) in [
            ("(uid={login})", true),
            ("(&(uid={login})(!(locked=TRUE)))", true),
            ("(uid=ann)", false),
            ("uid={login}))", false),
        ] {
            assert_eq!(
                Ldap::new(LdapSettings { filter: filter.into(), ..settings() }).is_ok(),
                good,
                "{filter}"
            );
        }
        let groups = Ldap::new(LdapSettings { group_filter: "(member=x)".into(), ..settings() });
        assert_eq!(groups.err().map(|(key, _)| key), Some("group_filter"));
        let ldap = Ldap::new(settings()).expect("good settings");
        assert_eq!(ldap.authority(), "ldap:ou=people,dc=example,dc=org");
    }

    #[tokio::test]
    async fn an_empty_password_asks_nobody() {
        let ldap = Ldap::new(LdapSettings { port: 1, ..settings() }).expect("good settings");
        assert_eq!(ldap.prove("ann", &"".into()).await, Ok(None));
        assert!(matches!(ldap.prove("ann", &"x".into()).await, Err(DirectoryError::Away(_))));
    }
}
