//! The first administrator is made once, by a secret that is printed once. There is no default account.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::encoding::base64url_encode;

use super::model::User;
use super::users::NewUser;
use crate::authz::catalogue::user;
use crate::authz::roles::ADMIN;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::operation::Permit;
use crate::ports::Batch;
use crate::ports::store::Write;
use crate::random::bytes;
use crate::secret::SecretText;

const PURPOSE: &str = "setup";
const LIFE_MS: i64 = 3_600_000;

fn hash(secret: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    out
}

/// Setup as a service.
pub struct Setup<'e> {
    engine: &'e Engine,
}

impl<'e> Setup<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// A fresh setup secret, good for an hour; earlier ones are void. `None` once an administrator exists.
    ///
    /// # Errors
    /// The store's.
    pub async fn secret(&self) -> Result<Option<SecretText>> {
        if self.engine.store().any_user_with_role(ADMIN).await? {
            return Ok(None);
        }
        let secret = format!("dws_{}", base64url_encode(&bytes::<32>(self.engine.random())));
        let expires_at_ms = self.engine.now_ms() + LIFE_MS;
        let code = Write::InsertCode { purpose: PURPOSE.into(), hash: hash(&secret), expires_at_ms };
        self.engine.commit(Batch::durable(vec![Write::DropCodes { purpose: PURPOSE.into() }, code])).await?;
        Ok(Some(SecretText::new(secret)))
    }

    /// Makes the first administrator. The secret is spent in the same transaction, so two cannot be made.
    ///
    /// # Errors
    /// `loopback_only` from another machine; `setup_closed` once an administrator exists; `code_spent`; and what
    /// making a user refuses.
    pub async fn administrator(
        &self,
        mut permit: Permit<user::SignUp>,
        secret: &SecretText,
        mut new: NewUser,
    ) -> Result<User> {
        let local =
            permit.call().origin.address.is_none_or(|address: IpAddr| address.to_canonical().is_loopback());
        if !local {
            return permit.close(Err(Error::new(codes::LOOPBACK_ONLY)));
        }
        let prepared = async {
            if self.engine.store().any_user_with_role(ADMIN).await? {
                return Err(Error::new(codes::SETUP_CLOSED));
            }
            if new.password.is_none() {
                return Err(Error::new(codes::BAD_FIELD).message("password: is needed."));
            }
            new.roles = vec![ADMIN.to_owned()];
            self.engine.users().prepare(permit.mount(), new, permit.call().origin.address).await
        };
        match prepared.await {
            Err(error) => permit.close(Err(error)),
            Ok((user, mut writes)) => {
                let now_ms = self.engine.now_ms();
                let spend = Write::SpendCode { purpose: PURPOSE.into(), hash: hash(secret.expose()), now_ms };
                writes.insert(0, spend);
                permit.name_resource(user.id.as_str());
                let call = permit.call().clone();
                match permit.commit(writes).await {
                    Ok(()) => Ok(user),
                    Err(error) => {
                        let error = Error::from(error);
                        // A wrong secret is a guess and is counted.
                        match call.permit::<user::SignUp>(crate::authz::Target::any()) {
                            Ok(permit) if error.is(codes::CODE_SPENT) => Err(permit.refuse(error).await),
                            Ok(permit) => permit.close(Err(error)),
                            Err(_) => Err(error),
                        }
                    }
                }
            }
        }
    }
}
