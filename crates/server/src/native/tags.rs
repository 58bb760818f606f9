//! What the operations of this API are grouped by, where they are described.

use crate::openapi::Tag;

/// All of them, in the order in which people look for them.
pub(super) static ALL: &[&Tag] = &[
    &ENTRY,
    &OWN,
    &SESSIONS,
    &KEYS,
    &TOKENS,
    &PROVIDERS,
    &THREADS,
    &USERS,
    &SIGNING,
    &AUDIT,
    &FORWARD,
    &LETTERS,
    &DESCRIPTION,
];

pub(super) static DESCRIPTION: Tag =
    Tag { name: "Description", notes: "This document, as JSON and as a page." };
pub(super) static ENTRY: Tag = Tag {
    name: "Getting in",
    notes: "The first administrator, signing up, logging in and out. Most of it needs no credential.",
};
pub(super) static PROVIDERS: Tag = Tag {
    name: "Providers",
    notes: "Logging in through providers such as Google, and which of them open an account.",
};
pub(super) static OWN: Tag = Tag { name: "Own account", notes: "The account of whoever asks." };
pub(super) static SESSIONS: Tag = Tag { name: "Sessions", notes: "Stays, from log-in to log-out." };
pub(super) static TOKENS: Tag =
    Tag { name: "Tokens", notes: "Tokens asked about, handed in, revoked, and made for others." };
pub(super) static KEYS: Tag = Tag { name: "API keys", notes: "Keys for programs, each shown once." };
pub(super) static USERS: Tag = Tag { name: "Accounts", notes: "Everybody's accounts, for administrators." };
pub(super) static SIGNING: Tag = Tag { name: "Signing keys", notes: "The keys that sign tokens." };
pub(super) static AUDIT: Tag = Tag { name: "Audit", notes: "What happened, to what, by whom." };
pub(super) static FORWARD: Tag =
    Tag { name: "Forward-auth", notes: "A trusted proxy asks whether a request that it holds may pass." };
pub(super) static THREADS: Tag = Tag {
    name: "Threads",
    notes: "Conversations with the embedded agent: threads, their messages and runs.",
};
pub(super) static LETTERS: Tag = Tag { name: "Letters", notes: "In development: letters that were kept." };
