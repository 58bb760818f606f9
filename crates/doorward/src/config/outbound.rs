//! `[outbound]`: requests to addresses that others have a say in, such as key sets and webhooks.

use doorward_outbound::Settings;
use doorward_outbound::policy::Policy;

use super::section::{Key, Section};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "allow",
        "[]",
        "Origins that are let through as they are, such as http://127.0.0.1:9000 or https://idp.internal. Others are \
         reached by https at public addresses alone.",
    ),
    Key::optional(
        "ca_file",
        "\"/etc/doorward/authorities.pem\"",
        "Certificates of authorities to believe beside the system's, in PEM.",
    ),
];

pub(super) fn read(mut section: Section<'_>) -> Option<Settings> {
    let allow = section.list("allow").and_then(|allow| match Policy::new(&allow) {
        Ok(_) => Some(allow),
        Err(what) => {
            section.refuse("allow", what, "write a scheme, a host and perhaps a port, and nothing behind");
            None
        }
    });
    let given = section.is_given("ca_file");
    let ca_file = section.path("ca_file");
    section.finish();
    if given && ca_file.is_none() {
        return None;
    }
    Some(Settings { allow: allow?, ca_file })
}
