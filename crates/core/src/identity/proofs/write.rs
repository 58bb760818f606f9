//! Writing: how often, to where, and what a letter's link looks like.

use super::Proofs;
use super::code::{self, Bound, Made, Purpose};
use super::flow::Challenge;
use crate::error::{Error, Result, codes};
use crate::forms;
use crate::id::UserId;
use crate::identity::validate;
use crate::limits::failures::counter_of;
use crate::mail::Facts;
use crate::operation::{Call, Grant};

/// One letter to an address in this time: nobody's mailbox is flooded from here.
const PAUSE_MS: i64 = 60_000;
/// The window in which a network may ask for so many letters.
const NETWORK_MS: i64 = 300_000;

/// Where a letter's link leads.
#[derive(Debug, Clone)]
pub struct Links {
    /// What takes the proof, without a query, such as `https://auth.example/supabase/auth/v1/verify`.
    pub verify: String,
    /// The server's own root, such as `https://auth.example/`.
    pub own: String,
    /// Where somebody wants to go in the end; believed only as far as the mount's [`super::Redirects`] let.
    pub wanted: Option<String>,
    /// What whoever asks will match, where links are to end in the program that asks.
    pub challenge: Option<Challenge>,
}

/// What a letter is about.
#[derive(Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) purpose: Purpose,
    pub(super) address: &'a str,
    /// Whether the account was there before it was asked for.
    pub(super) again: bool,
}

impl Proofs<'_> {
    pub(super) fn made(&self, purpose: Purpose, user: &UserId, address: &str, links: &Links) -> Made {
        let (bound, challenge) = (Bound { purpose, user, address }, links.challenge.as_ref());
        code::make(self.engine.proof_key(), self.engine.random(), bound, challenge, self.engine.now_ms())
    }

    /// The address in its one spelling, if it may be written to now for whoever asks.
    ///
    /// # Errors
    /// `bad_field`, `rate_limited`, `mail_too_soon`: the same whoever has the address.
    pub(super) async fn may_write(&self, grant: &Grant, address: &str) -> Result<String> {
        let address = validate::email(address)?;
        if let Some(many) = self.too_many(grant.call()).await {
            return Err(many);
        }
        match self.is_soon(&address).await {
            Some(soon) => Err(soon),
            None => Ok(address),
        }
    }

    /// The refusal, where a network has asked for as many letters as it may.
    pub(super) async fn too_many(&self, call: &Call) -> Option<Error> {
        let most = call.mount.email.as_ref().map_or(0, |rules| rules.letters_per_network);
        if most == 0 {
            return None;
        }
        let now_ms = self.engine.now_ms();
        let key = format!("letters:{}:{}", call.mount.name, counter_of(call.origin.address));
        let hit = self.engine.shared().hit(&key, most, NETWORK_MS, now_ms).get().await;
        let left_s = u32::try_from((hit.ends_at_ms - now_ms + 999) / 1000).unwrap_or(300);
        hit.exceeded.then(|| Error::new(codes::RATE_LIMITED).retry_after_s(left_s))
    }

    /// The refusal, where an address was written to within the last minute. Counted by the address, whoever has it.
    pub(super) async fn is_soon(&self, address: &str) -> Option<Error> {
        let now_ms = self.engine.now_ms();
        let hit = self.engine.shared().hit(&format!("mail:{address}"), 1, PAUSE_MS, now_ms).get().await;
        let left_s = u32::try_from((hit.ends_at_ms - now_ms + 999) / 1000).unwrap_or(60);
        hit.exceeded.then(|| {
            let message = format!("For security purposes, you can only request this after {left_s} seconds.");
            Error::new(codes::MAIL_TOO_SOON).message(message).retry_after_s(left_s)
        })
    }

    /// Where a proof of this purpose is opened, and where that leads in the end.
    pub(super) fn link(&self, call: &Call, purpose: Purpose, token: &str, links: &Links) -> (String, String) {
        let rules = call.mount.email.clone().unwrap_or_default();
        let go_to = rules.redirects.choose(links.wanted.as_deref(), &links.own);
        let query = forms::pairs(&[("token", token), ("type", purpose.as_str()), ("redirect_to", &go_to)]);
        (format!("{}?{query}", links.verify), go_to)
    }

    pub(super) fn write_to(&self, call: &Call, letter: &Letter<'_>, secrets: (&str, &str), links: &Links) {
        self.write_moving(call, letter, secrets, links, None);
    }

    /// As [`Proofs::write_to`]; `moving` is the address that an account is to have.
    pub(super) fn write_moving(
        &self,
        call: &Call,
        letter: &Letter<'_>,
        (token, digits): (&str, &str),
        links: &Links,
        moving: Option<&str>,
    ) {
        let Letter { purpose, address, again } = *letter;
        let (link, go_to) = self.link(call, purpose, token, links);
        let rules = call.mount.email.clone().unwrap_or_default();
        let site = rules.redirects.choose(None, &links.own);
        let facts = Facts {
            purpose,
            to: address,
            link: (purpose != Purpose::Reauthentication).then_some(link.as_str()),
            token,
            // Whoever types digits says the address; that of a change is no account's yet, so only its link works.
            digits: (purpose != Purpose::EmailChange).then_some(digits),
            site: &site,
            go_to: &go_to,
            moving,
            again,
        };
        self.engine.post().take(self.engine, rules.templates.write(&facts));
    }
}
