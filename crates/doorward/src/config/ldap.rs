//! `[ldap]`: the directory whose people log in by their passwords there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_core::secret::SecretText;
use doorward_outbound::Protection;

use super::nearest::nearest;
use super::problem::Problem;
use super::roles::{BUILTIN_ROLES, Role};
use super::section::{Key, Reading, Section};

/// The directory.
#[derive(Clone)]
pub struct Ldap {
    /// Its name or address; `None` where there is none.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub protection: Protection,
    /// Whom to read it as.
    pub bind_dn: Option<String>,
    /// The password for that.
    pub bind_password: Option<SecretText>,
    /// The file it came from.
    pub bind_password_file: Option<PathBuf>,
    /// Beneath which entry people are.
    pub base: String,
    /// Which of them somebody is.
    pub filter: String,
    /// The attribute that is never given to somebody else.
    pub subject_attribute: String,
    /// The attribute with a user name.
    pub username_attribute: Option<String>,
    /// The attribute with a name to show.
    pub name_attribute: Option<String>,
    /// The attribute with an address that counts as proven.
    pub email_attribute: Option<String>,
    /// Beneath which entry groups are.
    pub group_base: Option<String>,
    /// Which of them somebody is in.
    pub group_filter: String,
    /// Roles, and the groups whose people have them.
    pub groups: Vec<(String, String)>,
    /// Whether whom it knows and we do not is given an account.
    pub sign_up: bool,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "host",
        "\"ldap.example.com\"",
        "The directory's server (LDAP). Without one nobody logs in by a directory.",
    ),
    Key::optional("port", "389", "Its port. Default: 389 for starttls and none, 636 for tls."),
    Key::new(
        "tls",
        "\"starttls\"",
        "starttls: TLS before anything is said, never without; tls: from the first byte; none: for a server on this machine.",
    ),
    Key::optional(
        "bind_dn",
        "\"cn=doorward,ou=services,dc=example,dc=com\"",
        "Whom to read it as; leave it out where everybody may read.",
    ),
    Key::secret("bind_password", "\"${DOORWARD_LDAP_PASSWORD}\"", "The password for that."),
    Key::optional(
        "bind_password_file",
        "\"/etc/doorward/ldap.password\"",
        "A file that holds the password instead. Mode 0600.",
    ),
    Key::optional("base", "\"ou=people,dc=example,dc=com\"", "Beneath which entry people are."),
    Key::new(
        "filter",
        "\"(uid={login})\"",
        "Which of them somebody is: {login} is what was typed, escaped. Active Directory: (sAMAccountName={login}).",
    ),
    Key::new(
        "subject_attribute",
        "\"entryUUID\"",
        "The attribute that never goes to another person, as text. Active Directory: a number or name of yours, such as employeeID.",
    ),
    Key::new("username_attribute", "\"uid\"", "The attribute with a user name; empty for none."),
    Key::new("name_attribute", "\"cn\"", "The attribute with a name to show; empty for none."),
    Key::optional(
        "email_attribute",
        "\"mail\"",
        "The attribute with an address. It counts as proven: leave it out where people write it themselves.",
    ),
    Key::optional("group_base", "\"ou=groups,dc=example,dc=com\"", "Beneath which entry groups are."),
    Key::new(
        "group_filter",
        "\"(|(member={dn})(uniqueMember={dn}))\"",
        "Which of them somebody is in: {dn} is the person's entry.",
    ),
    Key::new(
        "groups",
        "[]",
        "Groups that give roles, as \"ROLE: GROUP\", such as \"editor: cn=editors,ou=groups,dc=example,dc=com\". They alone say then which roles its people have.",
    ),
    Key::new("sign_up", "true", "Whether whom it knows and you do not gets an account."),
];

impl Ldap {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let optional = |section: &mut Section<'_>, key: &'static str| {
            section.is_given(key).then(|| section.text(key)).flatten().filter(|text| !text.is_empty())
        };
        let host = optional(&mut section, "host");
        let protection = section.word(
            "tls",
            &[("starttls", Protection::StartTls), ("tls", Protection::Tls), ("none", Protection::None)],
        );
        let port = match section.is_given("port") {
            true => section.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()),
            false => protection.map(|protection| if protection == Protection::Tls { 636 } else { 389 }),
        };
        let bind_dn = optional(&mut section, "bind_dn");
        let given = section.is_given("bind_password") || section.is_given("bind_password_file");
        let bind_password_file =
            section.is_given("bind_password_file").then(|| section.path("bind_password_file")).flatten();
        let bind_password = given.then(|| section.secret("bind_password", "bind_password_file")).flatten();
        let base = optional(&mut section, "base");
        let filter = section.text("filter");
        let subject_attribute = section.text("subject_attribute");
        let username_attribute = section.text("username_attribute");
        let name_attribute = section.text("name_attribute");
        let email_attribute = optional(&mut section, "email_attribute");
        let group_base = optional(&mut section, "group_base");
        let group_filter = section.text("group_filter");
        let listed = section.list("groups");
        let sign_up = section.boolean("sign_up");
        let mut whole = !given || bind_password.is_some();
        let mut refuse = |section: &mut Section<'_>, key: &'static str, what: &str, mend: &str| {
            section.refuse(key, what, mend);
            whole = false;
        };
        if let Some(host) = &host {
            let local = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
            if protection == Some(Protection::None) && !local {
                let what = "passwords would go to another machine in the clear";
                refuse(&mut section, "tls", what, "use starttls or tls");
            }
            if base.is_none() {
                let what = "nothing says where people are";
                refuse(&mut section, "base", what, "write base = \"ou=people,dc=example,dc=com\"");
            }
        }
        if bind_dn.is_some() != bind_password.is_some() && (!given || bind_password.is_some()) {
            let what = "bind_dn and bind_password belong together";
            refuse(&mut section, "bind_dn", what, "give both or neither");
        }
        if subject_attribute.as_deref() == Some("") {
            refuse(&mut section, "subject_attribute", "it is empty", "name an attribute, such as entryUUID");
        }
        let mut groups = Vec::new();
        for text in listed.iter().flatten() {
            match text.split_once(':').map(|(role, group)| (role.trim(), group.trim())) {
                Some((role, group)) if !role.is_empty() && group.contains('=') => {
                    groups.push((role.to_owned(), group.to_owned()));
                }
                _ => {
                    let what = format!("{text:?} says no role and group");
                    let mend = "write \"editor: cn=editors,ou=groups,dc=example,dc=com\"";
                    refuse(&mut section, "groups", &what, mend);
                }
            }
        }
        if !groups.is_empty() && group_base.is_none() {
            let what = "nothing says where the groups are";
            refuse(&mut section, "group_base", what, "write group_base = \"ou=groups,dc=example,dc=com\"");
        }
        section.finish();
        if !whole {
            return None;
        }
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Some(Self {
            host,
            port: port?,
            protection: protection?,
            bind_dn,
            bind_password,
            bind_password_file,
            base: base.unwrap_or_default(),
            filter: filter?,
            subject_attribute: subject_attribute?,
            username_attribute: some(username_attribute?),
            name_attribute: some(name_attribute?),
            email_attribute,
            group_base,
            group_filter: group_filter?,
            groups,
            sign_up: sign_up?,
        })
    }
}

/// Notes roles that groups give and nothing defines.
pub(super) fn know_roles(ldap: Option<&Ldap>, roles: Option<&BTreeMap<String, Role>>, reading: &mut Reading) {
    let (Some(ldap), Some(roles)) = (ldap, roles) else { return };
    let known = || roles.keys().map(String::as_str).chain(BUILTIN_ROLES);
    for (role, _) in &ldap.groups {
        if role == "anonymous" || !known().any(|there| there == role) {
            let mend = match nearest(role, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("describe it in [roles.{role}]"),
            };
            reading.problems.push(Problem::of("ldap.groups", format!("there is no role {role:?}"), mend));
        }
    }
}
