//! Strangers who stay: an account without a name, opened by nothing but its session, until its holder proves an address.

use serde_json::{Map, Value};

use super::sessions::{Arrival, Granted, Keep, Sessions, client_of};
use super::users::NewUser;
use crate::authz::Target;
use crate::authz::catalogue::{session, user};
use crate::error::{Error, Result, codes};
use crate::limits::failures::counter_of;
use crate::mount::SignUp;
use crate::operation::Permit;

/// Strangers of one network who may come in [`WINDOW_MS`]: each leaves an account behind.
const MOST: u32 = 30;
const WINDOW_MS: i64 = 3_600_000;

impl Sessions<'_> {
    /// Lets a stranger stay.
    ///
    /// # Errors
    /// `anonymous_closed` where the mount does not let strangers stay, `sign_up_closed`; `rate_limited`; `bad_field` for metadata that do not
    /// fit; `login_refused`.
    pub async fn stay_nameless(
        &self,
        permit: Permit<user::SignUp>,
        user_metadata: Map<String, Value>,
    ) -> Result<Granted> {
        let call = permit.call().clone();
        let prepared = async {
            if !call.mount.email.as_ref().is_some_and(|rules| rules.anonymous) {
                return Err(Error::new(codes::ANONYMOUS_CLOSED));
            }
            if call.mount.sign_up == SignUp::Closed {
                return Err(Error::new(codes::SIGN_UP_CLOSED));
            }
            let client = client_of(None, &call.origin)?;
            let now_ms = self.engine.now_ms();
            let key = format!("nameless:{}:{}", call.mount.name, counter_of(call.origin.address));
            let hit = self.engine.shared().hit(&key, MOST, WINDOW_MS, now_ms).get().await;
            if hit.exceeded {
                let left_s = u32::try_from((hit.ends_at_ms - now_ms + 999) / 1000).unwrap_or(3_600);
                return Err(Error::new(codes::RATE_LIMITED).retry_after_s(left_s));
            }
            let new = NewUser { user_metadata, anonymous: true, ..NewUser::default() };
            let (user, writes) = self.engine.users().prepare(&call.mount, new, None).await?;
            Ok((user, writes, client))
        };
        let (user, writes, client) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        permit.commit(writes).await?;
        let arrival = Arrival {
            user,
            method: "anonymous",
            source: Some("anonymous".to_owned()),
            device: None,
            writes: Vec::new(),
            refusal: codes::LOGIN_REFUSED,
            typed: None,
            renewal: None,
        };
        let permit = call.permit::<session::Login>(Target::any())?;
        let (_, granted) = self.begin(permit, arrival, Keep::Tokens { client, scope: None }).await?;
        granted.ok_or_else(|| Error::new(codes::INTERNAL).operator("a log-in for tokens made none"))
    }
}
