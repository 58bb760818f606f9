//! The directory whose people log in by their passwords there.

use std::sync::Arc;

use doorward_core::login::People;
use doorward_outbound::{Ldap, LdapSettings};

use crate::cli::Failure;
use crate::config::Config;

/// Nothing is asked yet: a directory that is away keeps nobody from logging in who has a password here.
pub(crate) fn open(config: &Config) -> Result<Option<People>, Failure> {
    let given = &config.ldap;
    let Some(host) = given.host.clone() else { return Ok(None) };
    let settings = LdapSettings {
        host,
        port: given.port,
        protection: given.protection,
        ca_file: config.outbound.ca_file.clone(),
        reader: given.bind_dn.clone().zip(given.bind_password.clone()),
        base: given.base.clone(),
        filter: given.filter.clone(),
        subject: given.subject_attribute.clone(),
        username: given.username_attribute.clone(),
        name: given.name_attribute.clone(),
        email: given.email_attribute.clone(),
        group_base: given.group_base.clone(),
        group_filter: given.group_filter.clone(),
        roles: given.groups.clone(),
    };
    let ldap = Ldap::new(settings)
        .map_err(|(key, what)| Failure::refused(format!("ldap.{key}: {what}"), "correct [ldap]"))?;
    Ok(Some(People::new(Arc::new(ldap), given.sign_up)))
}
