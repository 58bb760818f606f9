//! What a mount that speaks Supabase does beside.

use std::path::PathBuf;

use super::Section;

/// The settings that only Supabase's surface has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether strangers may stay without a name.
    pub anonymous: bool,
    /// Whether the holder of the present address has to agree to another one too.
    pub both_agree: bool,
    /// Letters that one network may ask for in five minutes; 0 for any number.
    pub letters_per_network: u32,
    /// The operator's texts of letters.
    pub templates: Option<PathBuf>,
    /// Which service key is taken.
    pub service_key_version: u32,
}

impl Rules {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let number = |section: &mut Section<'_>, key, range| {
            section.integer(key, range).and_then(|number| u32::try_from(number).ok())
        };
        let templates = section.path("mail_templates");
        let whole = templates.is_some() || !section.is_given("mail_templates");
        let anonymous = section.boolean("anonymous_sign_ins");
        let both_agree = section.boolean("secure_email_change");
        let letters_per_network = number(section, "letters_per_network", 0..=1_000_000);
        let service_key_version = number(section, "service_key_version", 1..=1_000_000);
        Some(Self {
            anonymous: anonymous?,
            both_agree: both_agree?,
            letters_per_network: letters_per_network?,
            templates: templates.filter(|_| whole),
            service_key_version: service_key_version?,
        })
        .filter(|_| whole)
    }
}
