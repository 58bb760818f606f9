//! What a Hypha token opens, in the spelling of its claim `scope` (Hypha 0.21.137, observed):
//!
//! ```text
//! ws:team-space#rw  ws:public#r  wid:team-space  cid:worker-1  camera:read
//! └ a workspace and what may be done in it       │             └ anything else: for services to judge
//!                     └ the workspace it is for  └ the one client that may use it
//! ```
//! Items are separated by single spaces. What this prints it reads alike, and a text with two readings (a workspace, `wid:` or
//! `cid:` twice) is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Longest claim, in bytes.
pub const MAX_BYTES: usize = 4096;
/// Most items of a claim.
pub const MAX_ITEMS: usize = 64;
/// Longest name of a workspace or client, and longest other item, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// What may be done in a workspace; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `r`: being in it, seeing and calling its public and protected services.
    Read,
    /// `rw`: registering services too, and sending to everybody in it.
    ReadWrite,
    /// `a`: everything, tokens for it and its end included.
    Admin,
}

impl Permission {
    /// Every permission, weakest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::ReadWrite, Self::Admin];

    /// The spelling on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::ReadWrite => "rw",
            Self::Admin => "a",
        }
    }

    /// Reads the spelling; `None` for every other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether whoever has this may do what needs `other`.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self >= other
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A claim `scope`, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// What it opens, and how far; `*` stands for every workspace.
    pub workspaces: BTreeMap<String, Permission>,
    /// The workspace that it is for.
    pub current: Option<String>,
    /// The one client that may use it.
    pub client_id: Option<String>,
    /// What services make of it, in order.
    pub extra: Vec<String>,
}

/// Why a claim was refused, or cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// More than [`MAX_BYTES`] or [`MAX_ITEMS`].
    #[error("the scope is too large")]
    TooLarge,
    /// A name that is empty, too long, or holds blanks, control characters or `#`.
    #[error("the scope names something that cannot be named")]
    Name,
    /// A permission other than `r`, `rw` and `a`.
    #[error("a permission is r, rw or a")]
    Permission,
    /// One thing said twice.
    #[error("the scope says one thing twice")]
    Twice,
}

/// Whether a text can be an item's name: printable, without what separates items and their parts.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#')
}

/// Whether a text can be an item of its own: it is not one of the others.
fn is_extra(text: &str) -> bool {
    is_name(text) && !["ws:", "wid:", "cid:"].iter().any(|prefix| text.starts_with(prefix))
}

fn named(text: &str) -> Result<String, ScopeError> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(ScopeError::Name) }
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Reads a claim. An empty one opens nothing.
    ///
    /// # Errors
    /// [`ScopeError`]; nothing of a bad claim is kept.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_BYTES {
            return Err(ScopeError::TooLarge);
        }
        let mut scope = Self::default();
        if text.is_empty() {
            return Ok(scope);
        }
        for (count, item) in text.split(' ').enumerate() {
            if count >= MAX_ITEMS {
                return Err(ScopeError::TooLarge);
            }
            let once = |slot: &mut Option<String>, name: &str| match slot.replace(named(name)?) {
                None => Ok(()),
                Some(_) => Err(ScopeError::Twice),
            };
            if let Some(rest) = item.strip_prefix("ws:") {
                let (name, permission) = rest.split_once('#').ok_or(ScopeError::Permission)?;
                let permission = Permission::parse(permission).ok_or(ScopeError::Permission)?;
                if scope.workspaces.insert(named(name)?, permission).is_some() {
                    return Err(ScopeError::Twice);
                }
            } else if let Some(name) = item.strip_prefix("wid:") {
                once(&mut scope.current, name)?;
            } else if let Some(name) = item.strip_prefix("cid:") {
                once(&mut scope.client_id, name)?;
            } else {
                scope.extra.push(named(item)?);
            }
        }
        Ok(scope)
    }
}

impl Scope {
    /// The claim: workspaces in the order of their names, then `wid:`, `cid:` and the rest.
    ///
    /// # Errors
    /// What could not be read again as it is.
    pub fn to_text(&self) -> Result<String, ScopeError> {
        let named = |name: &String| if is_name(name) { Ok(()) } else { Err(ScopeError::Name) };
        self.workspaces.keys().chain(&self.current).chain(&self.client_id).try_for_each(named)?;
        if !self.extra.iter().all(|item| is_extra(item)) {
            return Err(ScopeError::Name);
        }
        let workspaces = self.workspaces.iter().map(|(name, permission)| format!("ws:{name}#{permission}"));
        let current = self.current.iter().map(|name| format!("wid:{name}"));
        let client = self.client_id.iter().map(|name| format!("cid:{name}"));
        let items: Vec<String> =
            workspaces.chain(current).chain(client).chain(self.extra.iter().cloned()).collect();
        let text = items.join(" ");
        if items.len() > MAX_ITEMS || text.len() > MAX_BYTES {
            return Err(ScopeError::TooLarge);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn permissions_are_ordered_and_spelled_as_hypha_does() {
        for (at, one) in Permission::ALL.into_iter().enumerate() {
            assert_eq!(Permission::parse(one.as_str()), Some(one));
            for (other_at, other) in Permission::ALL.into_iter().enumerate() {
                assert_eq!(one.includes(other), at >= other_at, "{one} {other}");
            }
        }
        for other in ["", "R", "w", "read", "admin", "rw ", "ra"] {
            assert_eq!(Permission::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_claim_is_read_as_hypha_writes_it() {
        let scope: Scope =
            "ws:team-a#rw ws:*#a cid:worker wid:team-a camera:read files".parse().expect("good");
        assert_eq!(scope.workspaces["team-a"], Permission::ReadWrite);
        assert_eq!(scope.workspaces["*"], Permission::Admin);
        assert_eq!((scope.current.as_deref(), scope.client_id.as_deref()), (Some("team-a"), Some("worker")));
        assert_eq!(scope.extra, ["camera:read", "files"]);
        assert_eq!("".parse(), Ok(Scope::default()));
        assert_eq!(
            scope.to_text().expect("good"),
            "ws:*#a ws:team-a#rw wid:team-a cid:worker camera:read files"
        );
    }

    #[test]
    fn what_has_two_readings_or_none_is_refused() {
        for (name, text, error) in [
            ("no permission", "ws:a", ScopeError::Permission),
            ("an unknown permission", "ws:a#x", ScopeError::Permission),
            ("two permissions", "ws:a#r#a", ScopeError::Permission),
            ("no workspace", "ws:#r", ScopeError::Name),
            ("a workspace twice", "ws:a#r ws:a#a", ScopeError::Twice),
            ("two clients", "cid:a cid:b", ScopeError::Twice),
            ("two current ones", "wid:a wid:a", ScopeError::Twice),
            ("no client", "cid:", ScopeError::Name),
            ("two blanks", "ws:a#r  b", ScopeError::Name),
            ("a blank in front", " a", ScopeError::Name),
            ("a line end", "a\nb", ScopeError::Name),
            ("a control character", "a\u{1}", ScopeError::Name),
        ] {
            assert_eq!(text.parse::<Scope>(), Err(error), "{name}");
        }
        assert_eq!("x".repeat(MAX_NAME_BYTES + 1).parse::<Scope>(), Err(ScopeError::Name));
        assert_eq!("x ".repeat(MAX_BYTES).parse::<Scope>(), Err(ScopeError::TooLarge));
        assert_eq!(vec!["x"; MAX_ITEMS + 1].join(" ").parse::<Scope>(), Err(ScopeError::TooLarge));
        for bad in ["", "a b", "ws:a#a", "cid:x", "wid:y", "a#b"] {
            let scope = Scope { extra: vec![bad.to_owned()], ..Scope::default() };
            assert!(scope.to_text().is_err(), "{bad:?} would be read as something else");
        }
        let smuggled = Scope { current: Some("a ws:b#a".to_owned()), ..Scope::default() };
        assert_eq!(smuggled.to_text(), Err(ScopeError::Name));
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9*|_:/.é-]{1,20}"
    }

    fn scope() -> impl Strategy<Value = Scope> {
        let permission = prop::sample::select(Permission::ALL.to_vec());
        (
            prop::collection::btree_map(name(), permission, 0..6),
            prop::option::of(name()),
            prop::option::of(name()),
            prop::collection::vec(name().prop_filter("an item of its own", |text| is_extra(text)), 0..6),
        )
            .prop_map(|(workspaces, current, client_id, extra)| Scope {
                workspaces,
                current,
                client_id,
                extra,
            })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_alike(scope in scope()) {
            let text = scope.to_text().expect("names are names");
            prop_assert_eq!(text.parse::<Scope>(), Ok(scope));
        }

        #[test]
        fn whatever_is_read_can_be_printed_and_means_the_same(text in "[wsidc:#ra *-]{0,60}") {
            if let Ok(scope) = text.parse::<Scope>() {
                let again = scope.to_text().expect("what was read is in bounds");
                prop_assert_eq!(again.parse::<Scope>(), Ok(scope));
            }
        }

        #[test]
        fn no_text_makes_it_fall_over(text in any::<String>()) {
            let _ = text.parse::<Scope>();
        }
    }
}
