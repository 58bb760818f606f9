//! Somebody who acts: what the engine's services do, asked for and done in one step.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::Action;
use doorward_core::id::{ApiKeyId, UserId};
use doorward_core::identity::api_keys::{Created, NewApiKey};
use doorward_core::identity::model::{ApiKeyKind, User};
use doorward_core::identity::sessions::{Granted, Login, Which};
use doorward_core::identity::users::{Administration, NewUser};
use doorward_core::operation::{Call, Permit};
use doorward_core::principal::{Principal, PrincipalKind};
use doorward_core::secret::SecretText;
use doorward_core::tokens::issue::{Issued, Subject};
use doorward_core::tokens::model::Revoked;
use doorward_server::Access;

use super::error::Result;

/// Somebody who acts, with the credential that let them in: the holder of a token ([`Doorward::verify`](crate::Doorward::verify)), the
/// sender of a request ([`Principal`](crate::Principal)), nobody in particular, or the application itself.
///
/// Each method asks the decision function first and leaves a line in the audit log, refused or done.
#[derive(Clone)]
pub struct Caller {
    call: Call,
}

impl Caller {
    pub(super) fn new(call: Call) -> Self {
        Self { call }
    }

    /// Whoever vouches for the id, and the id. `local|usr_…` for accounts of this store: what an application keeps as the owner of things.
    #[must_use]
    pub fn owner_key(&self) -> String {
        self.call.auth.principal.owner_key()
    }

    /// The id within its authority, such as `usr_…`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.call.auth.principal.subject
    }

    /// Who vouches for the id: `local`, or an issuer's name.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.call.auth.principal.authority
    }

    /// A person, a program, an agent, or nobody in particular.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.call.auth.principal.kind
    }

    /// Whether nobody in particular acts.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.call.auth.is_anonymous()
    }

    /// The names of its roles, without what they inherit from. For showing: to allow something by a role, demand
    /// [`RequireRole`](crate::RequireRole) or better a permission.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.call.auth.roles.iter().map(|role| &**role)
    }

    /// What the credential is limited to; `None` adds no limit to the roles.
    #[must_use]
    pub fn scopes(&self) -> Option<Vec<&str>> {
        self.call.auth.scopes.as_ref().map(|scopes| scopes.iter().map(|scope| &**scope).collect())
    }

    /// The call itself: everything that is known of who acts and of what they came with.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Leave to do `A` to something. The permit's filter says which things; whoever holds it closes it, with
    /// [`close`](doorward_core::operation::Grant::close) around what it did.
    ///
    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden`; `not_found` for what is somebody else's.
    pub fn permit<A: Action>(&self, target: Target<'_>) -> Result<Permit<A>> {
        Ok(self.call.permit::<A>(target)?)
    }

    /// Whether it may do `A` at all. It gives no leave.
    ///
    /// # Errors
    /// As [`Caller::permit`].
    pub fn may<A: Action>(&self) -> Result<()> {
        Ok(self.call.may(A::DEF)?)
    }

    /// Watches the credential while an answer goes on: what comes back ends when it is revoked or expires.
    ///
    /// # Errors
    /// `token_revoked` when it was revoked since it was looked at.
    pub fn leave(&self) -> Result<Access> {
        Ok(Access::watch(&self.call)?)
    }

    /// Makes an account for whoever asks, with a password.
    ///
    /// # Errors
    /// `sign_up_closed`, `bad_field`, `weak_password`, `email_taken`, `username_taken`, `hashing_busy`.
    pub async fn sign_up(&self, new: NewUser) -> Result<User> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().users().sign_up(permit, new).await?)
    }

    /// Logs in with a password: an access token, a refresh token and a session.
    ///
    /// # Errors
    /// `bad_credentials`, `user_disabled`, `too_many_failures`, `hashing_busy`, `bad_field`, `unknown_scope`.
    pub async fn log_in(&self, login: Login) -> Result<Granted> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().sessions().login(permit, login).await?)
    }

    /// Exchanges a refresh token for new tokens. One that is used again ends all of its session.
    ///
    /// # Errors
    /// `refresh_token_invalid`, `refresh_token_reused` and their like; `user_disabled`.
    pub async fn refresh(&self, token: &SecretText, client: Option<&str>) -> Result<Granted> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().sessions().refresh(permit, token, client).await?)
    }

    /// Ends sessions, with their tokens.
    ///
    /// # Errors
    /// `not_found`, `forbidden`.
    pub async fn end_sessions(&self, user: &UserId, which: Which) -> Result<usize> {
        let owner = Principal::local(user).owner_key();
        let permit = self.permit(Target::owned(user.as_str(), &owner))?;
        Ok(self.call.engine().sessions().end(permit, user, which).await?)
    }

    /// Makes an account for somebody, with roles.
    ///
    /// # Errors
    /// `forbidden`; `bad_field`, `weak_password`, `unknown_role`, `email_taken`, `username_taken`, `hashing_busy`.
    pub async fn create_user(&self, new: NewUser) -> Result<User> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().users().create(permit, new).await?)
    }

    /// Replaces somebody's roles. Requests that are decided from now on see them.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unknown_role`, `last_admin`.
    pub async fn set_roles<R: Into<String>>(
        &self,
        user: &UserId,
        roles: impl IntoIterator<Item = R>,
    ) -> Result<User> {
        let permit = self.permit(Target::named(user.as_str()))?;
        let roles = Some(roles.into_iter().map(Into::into).collect());
        let changes = Administration { roles, ..Administration::default() };
        Ok(self.call.engine().users().administer(permit, user, changes).await?)
    }

    /// Issues an access token for somebody, signed with the mount's key.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unknown_scope`, `bad_field`, `cannot_sign`.
    pub async fn issue_token(&self, subject: Subject) -> Result<Issued> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().tokens().issue(permit, &self.call.mount.tokens, subject).await?)
    }

    /// Revokes one token, everything of a session or of somebody, or everything. The next request with it is refused, and streams end.
    ///
    /// # Errors
    /// `forbidden`, `bad_field`, `not_found`.
    pub async fn revoke(&self, revoked: Revoked) -> Result<()> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().tokens().revoke_any(permit, revoked).await?)
    }

    /// Makes an API key for the caller itself. It never reaches further than the credential it is made with.
    ///
    /// # Errors
    /// `forbidden`, `unknown_scope`, `scope_missing`, `bad_field`.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<Created> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().api_keys().create(permit, new).await?)
    }

    /// Makes an API key for somebody, or one that reaches administrative actions.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unknown_scope`, `bad_field`.
    pub async fn create_api_key_for(
        &self,
        owner: &UserId,
        kind: ApiKeyKind,
        new: NewApiKey,
    ) -> Result<Created> {
        let permit = self.permit(Target::any())?;
        Ok(self.call.engine().api_keys().create_for(permit, owner, kind, new).await?)
    }

    /// Revokes an API key of the caller's own, or anybody's for administrators. The next request with it is refused.
    ///
    /// # Errors
    /// `not_found`, `forbidden`.
    pub async fn revoke_api_key(&self, key: &ApiKeyId) -> Result<()> {
        let permit = self.permit(Target::named(key.as_str()))?;
        Ok(self.call.engine().api_keys().revoke(permit, key).await?)
    }
}
