//! Odd log-ins: what the audit log and hooks are told, and what the operator's policy does about it.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::anomalies::{Anomalies, Measures, Policy};
use doorward_core::audit::{AuditRecord, Outcome};
use doorward_core::authn::Presented;
use doorward_core::authz::Target;
use doorward_core::identity::sessions::{Granted, Login};
use doorward_core::operation::Origin;
use doorward_core::ports::locations::{Locations, Place};
use doorward_core::ports::store::{AuditLog as _, AuditQuery};
use doorward_core::{Error, Result};

use crate::house::{Around, House, PASSWORD, code};

/// Addresses of 198.51.100.0/24 are in New York, all others in London.
struct Atlas;

impl Locations for Atlas {
    fn place(&self, address: IpAddr) -> Option<Place> {
        let far = address.to_string().starts_with("198.51.100.");
        let (latitude, longitude) = if far { (40.7, -74.0) } else { (51.5, -0.1) };
        Some(Place { latitude, longitude, within_km: 20.0 })
    }
}

async fn house(policies: &[(&'static str, Policy)]) -> House {
    let anomalies = Anomalies {
        policies: policies.iter().copied().collect(),
        measures: Measures { stuffing: 3, ..Measures::default() },
        locations: Arc::new(Atlas),
    };
    House::with(Around { anomalies, ..Around::default() }).await
}

impl House {
    async fn login_from(&self, address: &str, agent: &str, name: &str, password: &str) -> Result<Granted> {
        let origin = Origin { user_agent: Some(agent.into()), ..self.origin_at(address) };
        let call = self.engine.authenticate(&self.mount, origin, &Presented::nothing()).await?;
        let login = Login {
            login: format!("{name}@example.org"),
            password: password.into(),
            client: Some("app".into()),
            scope: None,
            source: None,
            device: None,
        };
        self.engine.sessions().login(call.permit(Target::any())?, login).await
    }

    /// Findings in the audit log, oldest first.
    async fn findings(&self) -> Vec<AuditRecord> {
        self.engine.flush(true).await.expect("written");
        let query = AuditQuery { limit: 1_000, ..AuditQuery::default() };
        let mut lines = self.store.audit(query).await.expect("a read");
        lines.retain(|line| line.entry.action.starts_with("anomaly:"));
        lines.reverse();
        lines
    }
}

fn said(lines: &[AuditRecord]) -> Vec<(&str, Outcome)> {
    lines.iter().map(|line| (line.entry.action.as_str(), line.entry.outcome)).collect()
}

#[tokio::test]
async fn a_new_device_is_noted_with_its_reason_and_is_known_from_then_on() {
    let house = house(&[]).await;
    let ann = house.sign_up("ann").await.expect("signs up");
    let from = async |agent| house.login_from("192.0.2.1", agent, "ann", PASSWORD).await.expect("logs in");
    from("Firefox/1").await;
    let session = from("Chrome/1").await.session;
    from("Chrome/2").await;
    let found = house.findings().await;
    assert_eq!(said(&found), [("anomaly:new_device", Outcome::Noted)]);
    let line = &found[0].entry;
    assert_eq!(line.reason.as_deref(), Some("the first log-in with Chrome/1; known: 1"));
    assert_eq!(line.principal, format!("local|{}", ann.id.as_str()));
    assert_eq!(line.resource.as_deref(), Some(session.as_str()), "the session to end, if it was not ann");
}

#[tokio::test]
async fn a_blocked_log_in_answers_as_a_wrong_password_and_begins_no_session() {
    let house = house(&[("impossible_travel", Policy::Block)]).await;
    house.sign_up("ann").await.expect("signs up");
    let from = async |address| house.login_from(address, "Firefox", "ann", PASSWORD).await;
    from("192.0.2.1").await.expect("logs in");
    house.clock.advance_s(600);
    assert_eq!(code(from("198.51.100.1").await), "bad_credentials");
    let found = house.findings().await;
    assert_eq!(said(&found), [("anomaly:impossible_travel", Outcome::Denied)]);
    assert!(
        found[0].entry.reason.as_deref().is_some_and(|why| why.contains("km from the log-in 10 min ago"))
    );
    house.clock.advance_s(8 * 3_600);
    from("198.51.100.1").await.expect("a flight later");
}

#[tokio::test]
async fn stuffing_is_noted_once_and_its_success_can_be_refused() {
    let house = house(&[("credential_stuffing", Policy::Block)]).await;
    house.sign_up("ann").await.expect("signs up");
    for name in ["bob", "bob", "cleo", "dan", "eve"] {
        assert_eq!(code(house.login_from("192.0.2.66", "x", name, "wrong").await), "bad_credentials");
    }
    assert_eq!(code(house.login_from("192.0.2.66", "x", "ann", PASSWORD).await), "bad_credentials");
    house.login_from("192.0.2.7", "x", "ann", PASSWORD).await.expect("from elsewhere ann gets in");
    let lines = house.findings().await;
    assert_eq!(said(&lines), [("anomaly:credential_stuffing", Outcome::Denied); 2]);
    house.clock.advance_s(601);
    house.login_from("192.0.2.66", "x", "ann", PASSWORD).await.expect("the window is over");
}

#[tokio::test]
async fn many_networks_at_one_account_are_noted_and_do_not_keep_its_owner_out() {
    let house = house(&[("credential_stuffing", Policy::Block)]).await;
    house.sign_up("ann").await.expect("signs up");
    for n in 1..=5 {
        let wrong = house.login_from(&format!("203.0.113.{n}"), "x", "ann", "wrong").await;
        assert_eq!(code(wrong), "bad_credentials");
    }
    house.login_from("192.0.2.7", "x", "ann", PASSWORD).await.expect("the owner gets in");
    let found = house.findings().await;
    assert_eq!(said(&found), [("anomaly:credential_stuffing", Outcome::Denied)]);
    let why = found[0].entry.reason.as_deref();
    assert_eq!(why, Some("log-ins to one account failed from 3 networks within 10 min"));
}

#[tokio::test]
async fn reuse_of_a_refresh_token_is_noted_and_by_policy_ends_every_session() {
    for (policy, others) in [(Policy::Notify, "ok"), (Policy::Block, "token_revoked")] {
        let house = house(&[("refresh_reuse", policy)]).await;
        let ann = house.person("ann").await;
        let other = house.login("ann").await;
        let old = ann.granted.refresh.as_ref().expect("a token").expose();
        house.refresh(old, "app").await.expect("exchanged");
        house.clock.advance_s(60);
        assert_eq!(code(house.refresh(old, "app").await), "refresh_token_reused");
        assert_eq!(code(house.bearer(ann.token()).await), "token_revoked");
        assert_eq!(code(house.bearer(other.access.token.expose()).await), others);
        let found = house.findings().await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].entry.action, "anomaly:refresh_reuse");
        assert_eq!(found[0].entry.principal, format!("local|{}", ann.user.id.as_str()));
        let why = found[0].entry.reason.as_deref().unwrap_or_default();
        assert!(why.contains("60 s after the last exchange"), "{why}");
    }
}

#[tokio::test]
async fn what_is_ignored_leaves_no_line() {
    let all = ["new_device", "impossible_travel", "credential_stuffing", "refresh_reuse"];
    let house = house(&all.map(|rule| (rule, Policy::Ignore))).await;
    house.sign_up("ann").await.expect("signs up");
    house.login_from("192.0.2.1", "Firefox", "ann", PASSWORD).await.expect("logs in");
    house.login_from("198.51.100.1", "Chrome", "ann", PASSWORD).await.expect("logs in");
    for name in ["bob", "cleo", "dan"] {
        let wrong: Result<Granted, Error> = house.login_from("192.0.2.66", "x", name, "wrong").await;
        assert_eq!(code(wrong), "bad_credentials");
    }
    assert_eq!(house.findings().await, []);
}

#[tokio::test]
async fn a_blocked_log_in_counts_as_every_wrong_guess_does() {
    let house = house(&[("new_device", Policy::Block), ("credential_stuffing", Policy::Block)]).await;
    for name in ["ann", "eve"] {
        house.sign_up(name).await.expect("signs up");
        house.login_from("192.0.2.1", "Firefox", name, PASSWORD).await.expect("a known device");
    }
    // With one more account failing, the network's own log-ins are refused: whether the guess was right must not be told by that.
    for (network, guess) in [("192.0.2.50", PASSWORD), ("192.0.2.51", "wrong")] {
        for other in ["x", "y"] {
            assert_eq!(code(house.login_from(network, "Firefox", other, "wrong").await), "bad_credentials");
        }
        assert_eq!(code(house.login_from(network, "curl", "ann", guess).await), "bad_credentials");
        assert_eq!(
            code(house.login_from(network, "Firefox", "eve", PASSWORD).await),
            "bad_credentials",
            "{guess}"
        );
    }
}

#[tokio::test]
async fn reuse_ends_every_session_whatever_else_ends_meanwhile() {
    let house = house(&[("refresh_reuse", Policy::Block)]).await;
    let ann = house.person("ann").await;
    let others = [house.login("ann").await, house.login("ann").await];
    let old = ann.granted.refresh.as_ref().expect("a token").expose().clone();
    house.refresh(&old, "app").await.expect("exchanged");
    house.clock.advance_s(60);
    let leaving = async {
        let call = house.bearer(others[0].access.token.expose()).await?;
        let own = call.auth.principal.owner_key();
        let permit = call.permit(Target::owned(others[0].session.as_str(), &own))?;
        let which = doorward_core::identity::sessions::Which::One(others[0].session.clone());
        house.engine.sessions().end(permit, &ann.user.id, which).await
    };
    let (reused, _) = futures_util::future::join(house.refresh(&old, "app"), leaving).await;
    assert_eq!(code(reused), "refresh_token_reused");
    for other in &others {
        assert_eq!(code(house.bearer(other.access.token.expose()).await), "token_revoked");
    }
    assert_eq!(house.findings().await.len(), 1);
}
