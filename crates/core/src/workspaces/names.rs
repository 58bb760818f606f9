//! What a workspace may be called.
//!
//! Ids are one space for everybody. Those that people make up have a hyphen and are lower case (Hypha 0.21.137); a principal's own one
//! begins with `ws-user-`, and no two principals share one, whoever vouches for them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::MAX_ID_BYTES;
use crate::principal::{LOCAL, Principal, PrincipalKind};

/// What the ids of own workspaces begin with.
pub const OWN: &str = "ws-user-";

/// Ids that stand for something: nobody's to make.
const RESERVED: &[&str] = &["ws-anonymous"];

/// Whether people can make a workspace of this id: `a-z`, `0-9`, `-` and `|`, with a hyphen, and nobody's own.
#[must_use]
pub fn can_be_made(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'|';
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(plain)
        && id.contains('-')
        && !id.starts_with(OWN)
        && !RESERVED.contains(&id)
}

/// Whether this is the spelling of somebody's own workspace: `ws-user-` and a subject of letters, digits, `-`, `_` and `|`.
#[must_use]
pub fn is_own(id: &str) -> bool {
    id.len() <= MAX_ID_BYTES && id.strip_prefix(OWN).is_some_and(is_plain)
}

/// Whether any workspace can be called this: a made one, an own one, or one of the hub's, such as `public`.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'|';
    is_own(id) || ((1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with(OWN))
}

fn is_plain(subject: &str) -> bool {
    !subject.is_empty()
        && subject.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'|'))
}

/// The id of a principal's own workspace. `authority` is the one of the mount it is known through ([`crate::tokens::TokenProfile`]).
///
/// Local users, visitors, and whom the mount's own tokens name are `ws-user-SUBJECT`: their ids are ours, and differ. Whom others vouch
/// for may be called anything, so the authority stands before the subject, and what cannot be spelled is hashed.
#[must_use]
pub fn own(principal: &Principal, authority: &str) -> String {
    let ours = &*principal.authority == LOCAL
        || principal.kind == PrincipalKind::Anonymous
        || &*principal.authority == authority;
    let subject = &*principal.subject;
    // A name of ours holds no `|`, so that nobody of ours is spelled like somebody of others.
    if ours && is_plain(subject) && !subject.contains('|') && OWN.len() + subject.len() <= MAX_ID_BYTES {
        return format!("{OWN}{subject}");
    }
    let spelled = format!("{OWN}{}|{subject}", principal.authority);
    let unlike = !principal.authority.contains('|') && !principal.authority.is_empty();
    if unlike && !ours && is_own(&spelled) {
        return spelled;
    }
    // Two bars: a spelled one has them only behind an authority.
    let hash = digest(&SHA256, principal.owner_key().as_bytes());
    format!("{OWN}||{}", URL_SAFE_NO_PAD.encode(hash))
}

/// What a principal is called among the members of a workspace: its own workspace's id without what all of them begin with. No two
/// principals share it, whoever vouches for them.
#[must_use]
pub fn member(principal: &Principal, authority: &str) -> String {
    own(principal, authority)[OWN.len()..].to_owned()
}

/// Whether somebody can be called this among members.
#[must_use]
pub fn is_member(name: &str) -> bool {
    OWN.len() + name.len() <= MAX_ID_BYTES && is_plain(name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn made_ids_have_a_hyphen_and_are_nobodys_own() {
        for good in ["team-a", "a-", "my-lab|2", "0-1"] {
            assert!(can_be_made(good) && is_id(good) && !is_own(good), "{good}");
        }
        for bad in [
            "",
            "team",
            "Team-a",
            "team_a-b",
            "ws-user-usr_1",
            "ws-user-",
            "ws-anonymous",
            "a-b c",
            "a-é",
            "*-",
            "../-",
        ] {
            assert!(!can_be_made(bad), "{bad}");
        }
        assert!(!can_be_made(&format!("a-{}", "b".repeat(MAX_ID_BYTES))));
        assert!(is_id("public") && !is_id("*") && !is_id("ws-user-") && !is_id("a/b"));
    }

    #[test]
    fn own_ids_are_spelled_by_the_subject() {
        let of = |kind, authority: &str, subject: &str| {
            own(&Principal { kind, authority: authority.into(), subject: subject.into() }, "hypha")
        };
        assert_eq!(of(PrincipalKind::User, LOCAL, "usr_Ab1"), "ws-user-usr_Ab1");
        assert_eq!(
            of(PrincipalKind::Anonymous, "anonymous", "anonymouz-calm-owl-12345678"),
            "ws-user-anonymouz-calm-owl-12345678"
        );
        assert_eq!(of(PrincipalKind::Service, "hypha", "Xy9"), "ws-user-Xy9");
        assert_eq!(of(PrincipalKind::User, "corp", "google-oauth2|1_x"), "ws-user-corp|google-oauth2|1_x");
        for (authority, subject) in
            [("corp", "ann@example.org"), ("a|b", "c"), ("hypha", "x|y"), ("corp", &*"x".repeat(500))]
        {
            let id = of(PrincipalKind::User, authority, subject);
            assert!(id.starts_with("ws-user-||") && is_own(&id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn different_principals_never_share_a_workspace(
            principals in prop::collection::vec(("(local|anonymous|hypha|corp|a\\|b|\\|)", "[a-c|@_-]{1,6}"), 1..40)
        ) {
            let mut owners = HashMap::new();
            for (authority, subject) in principals {
                // The authority `anonymous` is ours alone, and only visitors are of it.
                let kind = if authority == "anonymous" { PrincipalKind::Anonymous } else { PrincipalKind::User };
                // Ids of ours are unlike each other by how they are made; that is no rule of spelling.
                let subject = if ["local", "anonymous", "hypha"].contains(&&*authority) { format!("{authority}-{subject}") } else { subject };
                let principal = Principal { kind, authority: authority.into(), subject: subject.into() };
                let id = own(&principal, "hypha");
                prop_assert!(is_own(&id), "{}", id);
                let owner = principal.owner_key();
                prop_assert_eq!(owners.entry(id).or_insert_with(|| owner.clone()), &owner);
            }
        }
    }
}
