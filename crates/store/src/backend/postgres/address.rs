//! Where the database is, and how safely it is reached.

use std::net::IpAddr;
use std::time::Duration;

use doorward_core::ports::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// After how long a silent network is noticed.
const SILENCE: Duration = Duration::from_secs(10);

/// A parsed address. Its password is in `config` alone, whose `Debug` hides it.
pub(super) struct Address {
    pub(super) config: Config,
    /// Host and database, for messages.
    pub(super) name: String,
}

impl Address {
    /// TLS is demanded of a server on another machine unless the address says `sslmode=disable`, and not asked of one
    /// on this machine unless the address says so.
    pub(super) fn parse(address: &str) -> Result<Self, StoreError> {
        let wrong = |what: &str| {
            StoreError::Unavailable(format!(
                "{what}; write it like postgres://user:password@host:5432/database"
            ))
        };
        // The library's own message may quote the address, and with it the password.
        let mut config: Config = address.parse().map_err(|_| wrong("the store's address cannot be read"))?;
        let Some(database) = config.get_dbname() else {
            return Err(wrong("the store's address names no database"));
        };
        let hosts: Vec<String> = config.get_hosts().iter().map(shown).collect();
        if hosts.is_empty() {
            return Err(wrong("the store's address names no host"));
        }
        let name = format!("PostgreSQL database {database} at {}", hosts.join(", "));
        let local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
        match (local, says_ssl_mode(address)) {
            (true, false) => config.ssl_mode(SslMode::Disable),
            (false, false) => config.ssl_mode(SslMode::Require),
            // "If you like" is what a man in the middle likes.
            (false, true) if config.get_ssl_mode() == SslMode::Prefer => config.ssl_mode(SslMode::Require),
            (_, true) => &mut config,
        };
        if config.get_application_name().is_none() {
            config.application_name("doorward");
        }
        config.connect_timeout(CONNECT).keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
        Ok(Self { config, name })
    }
}

/// The host and database of an address, for messages; nothing of one that cannot be read.
pub(in crate::backend) fn name(address: &str) -> String {
    Address::parse(address).map_or_else(|_| "the PostgreSQL database".to_owned(), |address| address.name)
}

fn says_ssl_mode(address: &str) -> bool {
    address
        .split_once('?')
        .is_some_and(|(_, options)| options.split('&').any(|one| one.starts_with("sslmode=")))
        || address.split_ascii_whitespace().any(|one| one.starts_with("sslmode="))
}

fn shown(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_reached_by_tls_unless_the_address_says_not() {
        for (address, mode) in [
            ("postgres://u:p@db.example/d", SslMode::Require),
            ("postgres://u:p@db.example/d?sslmode=prefer", SslMode::Require),
            ("postgres://u:p@db.example/d?sslmode=disable", SslMode::Disable),
            ("postgres://u:p@db.example,127.0.0.1/d", SslMode::Require),
            ("postgres://u:p@localhost/d?hostaddr=192.0.2.1", SslMode::Require),
            ("postgres://u:p@127.0.0.1/d", SslMode::Disable),
            ("postgresql://u:p@localhost/d?sslmode=require", SslMode::Require),
            ("postgres://u@%2Frun%2Fpostgresql/d", SslMode::Disable),
        ] {
            assert_eq!(Address::parse(address).expect(address).config.get_ssl_mode(), mode, "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for address in
            ["postgres://u:hunter2@/d", "postgres://u:hunter2@h", "postgres://u:hunter2@h/d?colour=1"]
        {
            let error = Address::parse(address).err().expect(address).to_string();
            assert!(error.contains("postgres://user:password@host") && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(super::name("postgres://u:hunter2@h/d"), "PostgreSQL database d at h");
    }
}
