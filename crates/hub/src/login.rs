//! `hypha-login`: how a program gets a token that a person approves in a browser.
//!
//! ```text
//!  program ─ start ─► key and a page's address      browser ─ page ─► who it is, by Doorward's own means ─► approve
//!  program ─ check ─► waits ────────────────────────────────────────► the token, once
//! ```
//!
//! A page belongs to the browser that opened it first. What is handed in with `report` is worth what Doorward's own verification says it
//! is: the token that comes out is always one of ours, and ends with the session or credential that it was made from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::authn::Presented;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::operation::Call;
use doorward_core::principal::{Principal, PrincipalKind};
use doorward_core::secret::SecretText;
use doorward_core::tokens::{HubToken, HubTokenKind as Kind};
use doorward_core::workspaces::{WorkspaceScope, names};
use doorward_protocols::hypha::value;
use parking_lot::Mutex;
use rmpv::Value;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

use crate::args::wrong;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::provided::{Asked, Provided, Row};
use crate::user::Person;
use crate::waiting::{Full, Waiting};

/// How long a key lives.
pub const KEY_LIFE: Duration = Duration::from_secs(180);
const KEY_LIFE_MS: i64 = 180_000;
/// How long a token lives unless the program says otherwise.
const LIFE_S: i64 = 3600;
/// Where the page is, within the mount.
pub const PAGE: &str = "/public/apps/hypha-login/";

pub(crate) static SERVICE: Provided = Provided {
    id: "hypha-login",
    name: "Login",
    kind: "functions",
    description: "How a program gets a token that a person approves",
    rows: &[
        Row {
            name: "start",
            parameters: &["workspace", "expires_in"],
            doc: "Begins: a key, and the address of a page for a person.",
            act: |asked| Box::pin(async move { asked.start() }),
        },
        Row {
            name: "check",
            parameters: &["key", "timeout", "profile"],
            doc: "The token, once the person agreed; waits for at most timeout seconds.",
            act: |asked| Box::pin(check(asked)),
        },
        Row {
            name: "report",
            parameters: &[
                "key",
                "token",
                "workspace",
                "expires_in",
                "email",
                "email_verified",
                "name",
                "nickname",
                "user_id",
                "picture",
            ],
            doc: "Agrees for a program, with a token that lets its holder in.",
            act: |asked| Box::pin(report(asked)),
        },
        Row {
            name: "logout",
            parameters: &["config"],
            doc: "The address that ends a browser's stay.",
            act: |asked| Box::pin(async move { asked.logout() }),
        },
        Row {
            name: "index",
            parameters: &["event"],
            doc: "The page.",
            act: |asked| Box::pin(async move { asked.index() }),
        },
        Row {
            name: "profile",
            parameters: &[],
            doc: "Who is asking.",
            act: |asked| Box::pin(async move { Ok(value::from_json(&asked.peer.user.to_json())) }),
        },
    ],
};

/// Keys that wait.
pub(crate) type Pendings = Mutex<Waiting>;

/// A program that waits for a person.
pub(crate) struct Pending {
    since_ms: i64,
    pub(crate) by: Option<IpAddr>,
    workspace: Option<String>,
    ttl_s: i64,
    /// What the browser that opened the page first was given.
    browser: Option<[u8; 32]>,
    /// What is to be delivered.
    done: Option<Delivery>,
    told: Arc<Notify>,
}

impl Pending {
    pub(crate) fn new(since_ms: i64, by: Option<IpAddr>, workspace: Option<String>, ttl_s: i64) -> Self {
        Self { since_ms, by, workspace, ttl_s, browser: None, done: None, told: Arc::new(Notify::new()) }
    }

    pub(crate) fn is_good(&self, now_ms: i64) -> bool {
        now_ms < self.since_ms.saturating_add(KEY_LIFE_MS)
    }
}

#[derive(Clone)]
struct Delivery {
    token: SecretText,
    /// What goes along with it where the program asked for all there is; the token is put in when it is handed out.
    profile: Value,
}

/// What a page shows of a program that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Where the program asked from.
    pub from: Option<IpAddr>,
    /// Which workspace alone it wants into, if it is one.
    pub workspace: Option<String>,
    /// How long the token would live, in seconds.
    pub ttl_s: i64,
}

/// The login service as its page uses it.
pub struct Logins<'h>(&'h Hub);

fn invalid() -> Fault {
    Fault::assertion("Invalid key, key does not exist or expired: Invalid login key")
}

fn open_in(pendings: &mut Waiting, key: &str, mark: [u8; 32], now_ms: i64) -> Result<Approval, Fault> {
    let pending = pendings.get_mut(key).filter(|one| one.is_good(now_ms)).ok_or_else(invalid)?;
    if pending.done.is_some() {
        return Err(invalid());
    }
    if !bool::from(pending.browser.get_or_insert(mark).ct_eq(&mark)) {
        return Err(Fault::permission("This link was opened in another browser."));
    }
    Ok(Approval { from: pending.by, workspace: pending.workspace.clone(), ttl_s: pending.ttl_s })
}

impl Hub {
    /// The login service as its page uses it.
    #[must_use]
    pub fn logins(&self) -> Logins<'_> {
        Logins(self)
    }

    /// How many programs wait for somebody.
    pub(crate) fn waiting_logins(&self) -> usize {
        let now_ms = self.0.engine.now_ms();
        let waits = |pending: &&Pending| pending.done.is_none() && pending.is_good(now_ms);
        self.0.logins.lock().values().filter(waits).count()
    }

    /// Where people sign in.
    #[must_use]
    pub fn login_page(&self) -> String {
        format!("{}{PAGE}", self.base_url())
    }
}

impl Logins<'_> {
    /// A browser opens the page of a key. The first one keeps it: `mark` is a hash of a secret of that browser's.
    ///
    /// # Errors
    /// For keys that are unknown, used or too old, and for another browser.
    pub fn open(&self, key: &str, mark: [u8; 32]) -> Result<Approval, Fault> {
        let now_ms = self.0.engine().now_ms();
        open_in(&mut self.0.0.logins.lock(), key, mark, now_ms)
    }

    /// A person agrees, in the browser that opened the page.
    ///
    /// # Errors
    /// As [`Logins::open`]; when the person may not do what the program wants.
    pub async fn approve(&self, key: &str, mark: [u8; 32], call: &Call) -> Result<(), Fault> {
        let approval = self.open(key, mark)?;
        self.0.deliver(key, call, approval.workspace.as_deref(), approval.ttl_s).await
    }

    /// A person says no, in the browser that opened the page: whoever waits finds no such key from now on.
    ///
    /// # Errors
    /// As [`Logins::open`].
    pub fn refuse(&self, key: &str, mark: [u8; 32]) -> Result<(), Fault> {
        let now_ms = self.0.engine().now_ms();
        let mut pendings = self.0.0.logins.lock();
        open_in(&mut pendings, key, mark, now_ms)?;
        // Under the same lock: what was delivered meanwhile is not refused any more.
        let gone = pendings.remove(key).ok_or_else(invalid)?;
        gone.told.notify_waiters();
        Ok(())
    }
}

impl Asked {
    fn ttl(&self) -> Result<Option<i64>, Fault> {
        self.args.number("expires_in")?.map_or(Ok(None), |seconds| match seconds >= 1.0 {
            true => Ok(Some(seconds.min(1e15) as i64)),
            false => Err(wrong("expires_in", "a number of seconds")),
        })
    }

    fn start(self) -> Result<Value, Fault> {
        let workspace = self.args.text("workspace")?.filter(|name| !name.is_empty());
        // What no workspace can be called would read as something else where a person agrees to it.
        if workspace.is_some_and(|name| !names::is_id(name)) {
            return Err(wrong("workspace", "a workspace's id"));
        }
        let ttl_s = self.ttl()?.unwrap_or(LIFE_S);
        let longest = self.hub.mount().tokens.max_ttl_s;
        if ttl_s > longest {
            return Err(wrong("expires_in", &format!("at most {longest} seconds")));
        }
        let by = self.peer.call.origin.address;
        let key = self.hub.fresh_name("");
        let now_ms = self.hub.engine().now_ms();
        let pending = Pending::new(now_ms, by, workspace.map(str::to_owned), ttl_s);
        if self.hub.0.logins.lock().begin(key.clone(), pending, now_ms) == Err(Full) {
            return Err(Fault::other("too many logins wait for somebody; try again later"));
        }
        let service = format!("{}/public/services/hypha-login", self.hub.base_url());
        let page = self.hub.login_page();
        let mut url = format!("{page}?key={key}");
        if let Some(workspace) = workspace {
            // An id has nothing in it that an address would have to escape but `|`.
            url.push_str(&format!("&workspace={}", workspace.replace('|', "%7C")));
        }
        Ok(value::map([
            ("login_url", url.into()),
            ("key", key.into()),
            ("report_url", format!("{service}/report").into()),
            ("check_url", format!("{service}/check").into()),
        ]))
    }

    fn logout(self) -> Result<Value, Fault> {
        let url = format!("{}?logout=true&close=true", self.hub.login_page());
        Ok(value::map([("logout_url", url.into())]))
    }

    fn index(self) -> Result<Value, Fault> {
        self.args.needed("event")?;
        let headers = value::map([("Location", self.hub.login_page().into())]);
        Ok(value::map([("status", 307.into()), ("headers", headers), ("body", "".into())]))
    }
}

async fn check(asked: Asked) -> Result<Value, Fault> {
    let key = asked.args.needed_text("key")?;
    let seconds = asked.args.number("timeout")?.unwrap_or(180.0).clamp(0.0, KEY_LIFE.as_secs_f64());
    let profile = asked.args.flag("profile")?;
    let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
    loop {
        let told = {
            let now_ms = asked.hub.engine().now_ms();
            let mut pendings = asked.hub.0.logins.lock();
            let pending = pendings.get(key).filter(|one| one.is_good(now_ms)).ok_or_else(invalid)?;
            if pending.done.is_some() {
                // Taken out under the lock: whoever comes second finds no such key.
                let done = pendings.remove(key).and_then(|pending| pending.done).ok_or_else(invalid)?;
                let Delivery { token, profile: mut told } = done;
                let token = Value::from(token.expose().as_str());
                if !profile {
                    return Ok(token);
                }
                value::set(&mut told, "token", token);
                return Ok(told);
            }
            Arc::clone(&pending.told)
        };
        if seconds == 0.0 {
            return Ok(Value::Nil);
        }
        let waiting = told.notified();
        // It may have been told since it was looked at.
        if asked.hub.0.logins.lock().get(key).is_none_or(|pending| pending.done.is_some()) {
            continue;
        }
        if tokio::time::timeout_at(end, waiting).await.is_err() {
            return Err(Fault::timeout(format!("Login timeout after {seconds} seconds")));
        }
    }
}

/// Who a token lets in that somebody hands in: anybody but strangers.
pub(crate) async fn handed_in(hub: &Hub, peer: &Peer, text: &str) -> Result<Call, Fault> {
    let origin = (*peer.call.origin).clone();
    let presented = Presented::token(text, origin.address);
    let call = hub.engine().authenticate(hub.mount(), origin, &presented).await;
    let call = call.map_err(|error| {
        Fault::value(format!("Invalid token provided to report_login: {}", error.public_message()))
    })?;
    let visitor = |principal: &Principal| principal.kind == PrincipalKind::Anonymous;
    if visitor(&call.auth.principal) || call.auth.actors.iter().any(visitor) {
        return Err(Fault::value("Invalid token provided to report_login: it is nobody's"));
    }
    Ok(call)
}

async fn report(asked: Asked) -> Result<Value, Fault> {
    let key = asked.args.needed_text("key")?;
    let now_ms = asked.hub.engine().now_ms();
    let known = {
        let pendings = asked.hub.0.logins.lock();
        pendings
            .get(key)
            .filter(|one| one.is_good(now_ms) && one.done.is_none())
            .map(|one| (one.workspace.clone(), one.ttl_s))
    };
    let (workspace, ttl_s) = known.ok_or_else(invalid)?;
    let text = asked.args.needed_text("token")?;
    let call = handed_in(&asked.hub, &asked.peer, text).await?;
    // What the program asked for is not widened by whoever reports.
    let wanted = match (workspace, asked.args.text("workspace")?.filter(|name| !name.is_empty())) {
        (Some(asked_for), Some(other)) if asked_for != other => {
            return Err(Fault::value(format!("the program asked for the workspace {asked_for}")));
        }
        (Some(one), _) => Some(one),
        (None, other) => other.map(str::to_owned),
    };
    let ttl_s = asked.ttl()?.map_or(ttl_s, |shorter| shorter.min(ttl_s));
    asked.hub.deliver(key, &call, wanted.as_deref(), ttl_s).await?;
    Ok(Value::Nil)
}

impl Hub {
    /// Makes the token of whoever agreed, and lets the program that waits have it.
    async fn deliver(
        &self,
        key: &str,
        call: &Call,
        workspace: Option<&str>,
        ttl_s: i64,
    ) -> Result<(), Fault> {
        let mut joined = None;
        let scope = match workspace {
            None => call.auth.workspaces.clone(),
            Some(name) => {
                let denied = || Fault::permission(format!("Permission denied for workspace: {name}"));
                let room = self.room(name, call).await?.ok_or_else(denied)?;
                let permission = self.permission(call, &room).ok_or_else(denied)?;
                let owner = room.owner();
                let call = self.known(call, &room).into_owned();
                let leave = call.permit::<workspace::Read>(Target::owned(&room.id, &owner));
                leave.map_err(|_| denied())?.close(Ok(()))?;
                let (call, room) = joined.insert((call, room));
                WorkspaceScope {
                    current: Some(Arc::clone(&room.id)),
                    given: BTreeMap::from([(Arc::clone(&room.id), permission)]),
                    confined: true,
                    ..call.auth.workspaces.clone()
                }
            }
        };
        let call = joined.as_ref().map_or(call, |(call, _)| call);
        let home = workspace.map_or_else(|| self.own_workspace(call), str::to_owned);
        let wanted = HubToken {
            workspaces: scope,
            ttl_s: Some(ttl_s),
            kind: Kind::SameSubject,
            email: None,
            roles: None,
        };
        let held = match (workspace, wanted.workspaces.current.as_deref()) {
            (Some(name), Some(_)) => wanted.workspaces.given.get(name).copied(),
            _ => None,
        };
        let known = held.zip(workspace).map(|(held, name)| call.knowing_workspace(name, held));
        let known = known.as_ref().unwrap_or(call);
        let made = match &joined {
            Some((_, room)) => self.token_in(room, known, wanted).await?,
            None => self.token(known, wanted).await?,
        };
        let token = made.token;
        let person = Person::of(self, call).await;
        let text = |text: Option<String>| text.map_or(Value::Nil, Value::from);
        let (email, name) = (text(person.email), text(person.name));
        let profile = value::map([
            ("workspace", home.as_str().into()),
            ("expires_in", made.expires_in_s.into()),
            ("email", email.clone()),
            ("email_verified", (!email.is_nil()).into()),
            ("name", name.clone()),
            ("nickname", name),
            ("user_id", self.own_workspace(call)[doorward_core::workspaces::names::OWN.len()..].into()),
            ("picture", text(person.picture)),
        ]);
        let now_ms = self.engine().now_ms();
        let mut pendings = self.0.logins.lock();
        let pending = pendings.get_mut(key).filter(|one| one.is_good(now_ms)).ok_or_else(invalid)?;
        if pending.done.is_some() {
            return Err(invalid());
        }
        pending.done = Some(Delivery { token, profile });
        pending.told.notify_waiters();
        Ok(())
    }
}
