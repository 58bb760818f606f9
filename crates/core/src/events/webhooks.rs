//! Webhooks: events POSTed to a URL, signed, at least once (Standard Webhooks 1.0).
//!
//! ```text
//! webhook-id: evt_…            the same at every attempt: receivers drop what they have seen
//! webhook-timestamp: seconds   of the attempt: receivers refuse what is older than five minutes
//! webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body)), one for each secret, separated by spaces
//! ```

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;

use super::catalogue::EventDef;
use super::deliver::attempt;
use crate::authz::catalogue::webhook;
use crate::clock::rfc3339;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::EventId;
use crate::operation::Permit;
use crate::ports::store::{Delivery, Write};
use crate::secret::SecretBytes;

/// What every secret begins with (Standard Webhooks, signature scheme).
const PREFIX: &str = "whsec_";
/// Bytes a secret has (same place).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Where events are POSTed to.
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// The URL; judged by the egress policy at every attempt.
    pub url: String,
    /// What signs: the present secret, then those that still hold.
    pub secrets: Vec<SecretBytes>,
    /// The events it is told.
    pub events: Vec<&'static EventDef>,
    /// How long an event is tried, in milliseconds.
    pub give_up_ms: i64,
}

impl Webhook {
    /// The `webhook-signature` of a message.
    #[must_use]
    pub fn signature(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let sign = |secret: &SecretBytes| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
            context.update(format!("{id}.{timestamp_s}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        };
        self.secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn wants(&self, def: &'static EventDef) -> bool {
        def.leaves && self.events.contains(&def)
    }
}

/// Reads a secret: `whsec_` and 24 to 64 bytes in base64.
///
/// # Errors
/// What is wrong with it.
pub fn parse_secret(text: &str) -> std::result::Result<SecretBytes, &'static str> {
    let encoded = text.strip_prefix(PREFIX).ok_or("it does not begin with whsec_")?;
    let bytes = STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is not base64")?;
    if SECRET_BYTES.contains(&bytes.len()) {
        Ok(SecretBytes::new(bytes))
    } else {
        Err("it does not hold 24 to 64 bytes")
    }
}

/// What waits for one webhook.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// The webhook's name.
    pub webhook: String,
    /// Events that wait.
    pub waiting: i64,
    /// When the oldest of them happened, in milliseconds since the epoch.
    pub oldest_at_ms: i64,
    /// Most attempts any of them has seen.
    pub attempts: i64,
}

/// Webhooks as a service.
pub struct Deliveries<'e> {
    engine: &'e Engine,
}

impl<'e> Deliveries<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// What waits, by webhook; also for those that are not configured any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn waiting(&self, permit: Permit<webhook::Read>) -> Result<Vec<Waiting>> {
        permit.close(self.engine.store().waiting_deliveries().await.map_err(Into::into))
    }

    /// Makes everything that waits for a webhook due now; returns how much.
    ///
    /// # Errors
    /// `not_found` for a name that is not configured: nobody would send it.
    pub async fn retry(&self, permit: Permit<webhook::Send>, name: &str) -> Result<i64> {
        let found = self.engine.store().waiting_deliveries().await;
        let found = match found {
            Ok(found) => found,
            Err(error) => return permit.close(Err(error.into())),
        };
        let waiting = found.iter().find(|row| row.webhook == name).map(|row| row.waiting);
        if self.engine.webhook(name).is_none() {
            return permit.close(Err(Error::new(codes::NOT_FOUND)));
        }
        permit
            .commit(vec![Write::HurryDeliveries { webhook: name.to_owned(), now_ms: self.engine.now_ms() }])
            .await?;
        Ok(waiting.unwrap_or(0))
    }

    /// Sends a test event to a webhook, once; returns the status it answered.
    ///
    /// # Errors
    /// `not_found` for a name that is not configured; `webhook_failed` saying why there is no answer.
    pub async fn test(&self, mut permit: Permit<webhook::Send>, name: &str) -> Result<u16> {
        permit.name_resource(name);
        let Some(target) = self.engine.webhook(name) else {
            return permit.close(Err(Error::new(codes::NOT_FOUND)));
        };
        let id = EventId::new(self.engine.clock(), self.engine.random());
        let timestamp = rfc3339(self.engine.now_ms());
        let body = json!({ "type": "webhook.test", "timestamp": timestamp, "data": { "webhook": name } });
        let delivery = Delivery {
            id: id.as_str().to_owned(),
            webhook: name.to_owned(),
            event: "webhook.test".to_owned(),
            at_ms: self.engine.now_ms(),
            body: body.to_string(),
            attempts: 0,
            due_ms: 0,
        };
        let sent = attempt(self.engine, &target, &delivery).await;
        permit.close(sent.map(|reply| reply.status).map_err(|error| {
            Error::new(codes::WEBHOOK_FAILED).message(format!("The webhook did not answer: {error}."))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_standards_own_example() {
        // Standard Webhooks 1.0, test vector of the reference libraries.
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let webhook = Webhook {
            name: "x".into(),
            url: String::new(),
            secrets: vec![secret],
            events: Vec::new(),
            give_up_ms: 0,
        };
        let signature =
            webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_24_to_64_bytes_in_base64_after_its_prefix() {
        for bad in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!"] {
            assert!(parse_secret(bad).is_err(), "{bad}");
        }
        assert!(parse_secret(&format!("whsec_{}", STANDARD.encode([1; 65]))).is_err());
        assert!(parse_secret(&format!("whsec_{}", STANDARD.encode([1; 64]))).is_ok());
    }
}
