//! Every error code there is. `docs/reference/errors.md` is generated from [`ALL`].

use super::Kind;

/// A stable code with its default message and advice.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable name programs compare.
    pub name: &'static str,
    /// What the caller can do.
    pub kind: Kind,
    /// The default message.
    pub message: &'static str,
    /// What the reader of the error reference should do.
    pub advice: &'static str,
}

macro_rules! codes {
    ($($const:ident = $name:literal, $kind:ident, $message:literal, $advice:literal;)*) => {
        $(
            #[doc = $message]
            pub static $const: &Code =
                &Code { name: $name, kind: Kind::$kind, message: $message, advice: $advice };
        )*
        /// The table.
        pub static ALL: &[&Code] = &[$($const),*];
    };
}

codes! {
    BAD_REQUEST = "bad_request", Invalid, "The request cannot be understood.", "Read the message; it names what is wrong.";
    BAD_JSON = "bad_json", Invalid, "The body is not the JSON that is expected here.", "The message names the member or position. Duplicate members are refused.";
    BAD_FIELD = "bad_field", Invalid, "A field has a value that is not allowed.", "The message names the field and what is allowed.";
    BAD_PATH = "bad_path", Invalid, "The path has more than one reading.", "Send each path in its one plain spelling: no encoded slashes, dots or empty segments.";
    BAD_HEADER = "bad_header", Invalid, "A header is malformed or contradicts another.", "Send each credential once, in ASCII.";
    LOGIN_EXPIRED = "login_expired", Invalid, "This log-in is over: it was used, took longer than ten minutes, or began in another browser.", "Begin again.";
    WEAK_PASSWORD = "weak_password", Invalid, "The password is not acceptable.", "The message says which rule it breaks.";
    UNKNOWN_SCOPE = "unknown_scope", Invalid, "A scope names nothing.", "Use read, write, *, resource:* or resource:action.";
    UNKNOWN_ROLE = "unknown_role", Invalid, "A role is not defined.", "Define it under [roles] or use one of the built-in ones.";
    BAD_FILTER = "bad_filter", Invalid, "The filter cannot be understood.", "Known operators are $eq, $contains, $and, $or.";
    CANNOT_SIGN = "cannot_sign", Invalid, "Only public keys are configured here, so no token can be made.", "Configure the private key, or make tokens where it is kept.";
    NOT_REFRESH = "not_a_refresh_token", Invalid, "Not a refresh token", "Send the refresh token of the log-in; an access token cannot be exchanged.";
    UNSUPPORTED_GRANT = "unsupported_grant_type", Invalid, "This grant type is not supported.", "Use password or refresh_token.";
    NAMELESS = "nameless", Invalid, "Updating password of an anonymous user without an email or phone is not allowed", "Give an e-mail address with it.";
    HASH_UNSUPPORTED = "hash_unsupported", Invalid, "The password hash is of a kind that is not known here.", "docs/reference/import.md lists those that are; import the account without its hash and let its owner set a new password.";
    HASH_MALFORMED = "hash_malformed", Invalid, "The password hash is not spelled as its kind is.", "Export it again; it may have been cut.";
    HASH_TOO_COSTLY = "hash_too_costly", Invalid, "Checking the password hash would take too long or too much memory.", "docs/reference/import.md has the bounds; import the account without its hash and let its owner set a new password.";
    HASH_TOO_WEAK = "hash_too_weak", Invalid, "The password hash is made with so little work that who has it has the password.", "Import the account without its hash and let its owner set a new password.";
    ADMINISTRATOR_UNASKED = "administrator_unasked", Invalid, "The row makes an administrator.", "Look whether it should; say --with-admins to take administrators too.";
    SAME_PASSWORD = "same_password", Invalid, "The new password is the present one.", "Choose another one.";

    CREDENTIALS_MISSING = "credentials_missing", Unauthenticated, "This needs a credential.", "Send a Bearer token or an API key.";
    TOKEN_INVALID = "token_invalid", Unauthenticated, "The token is not valid.", "Get a new one. The audit log says what was wrong with it.";
    TOKEN_EXPIRED = "token_expired", Unauthenticated, "The token has expired.", "Refresh it or log in again.";
    TOKEN_REVOKED = "token_revoked", Unauthenticated, "The token has been revoked.", "Log in again.";
    ALGORITHM_INVALID = "invalid_algorithm", Unauthenticated, "Invalid algorithm", "The token is signed in a way that nobody here takes; get one from this server.";
    SESSION_ENDED = "session_ended", Unauthenticated, "The session has ended.", "Log in again.";
    KEY_INVALID = "api_key_invalid", Unauthenticated, "The API key is not valid.", "Check it for typing errors or make a new one.";
    KEY_EXPIRED = "api_key_expired", Unauthenticated, "The API key has expired.", "Make a new one.";
    KEY_REVOKED = "api_key_revoked", Unauthenticated, "The API key has been revoked.", "Make a new one.";
    PROJECT_KEY_MISSING = "project_key_missing", Unauthenticated, "No API key found in request", "Send the mount's anon key in the header apikey; `doorward supabase keys` prints it.";
    PROJECT_KEY_INVALID = "project_key_invalid", Unauthenticated, "Invalid API key", "`doorward supabase keys` prints those of each mount.";
    BAD_CREDENTIALS = "bad_credentials", Unauthenticated, "User name or password is wrong.", "Unknown users and wrong passwords are not told apart.";
    USER_DISABLED = "user_disabled", Unauthenticated, "The account is disabled.", "An administrator can enable it.";
    REFRESH_INVALID = "refresh_token_invalid", Unauthenticated, "The refresh token is not valid.", "Log in again.";
    REFRESH_REUSED = "refresh_token_reused", Unauthenticated, "The refresh token was used before; its family has ended.", "Log in again, and find out who else had the token.";
    HANDLER_REFUSED = "handler_refused", Unauthenticated, "The handler does not let you in.", "The handler's own words; its status may be another one.";
    HANDLER_INVALID = "handler_invalid", Unauthenticated, "Could not validate credentials", "The handler answered something that says nobody: the log names what it should answer.";
    PROVIDER_REFUSED = "provider_refused", Unauthenticated, "The provider did not confirm who you are.", "Begin again; the audit log has what was wrong with its answer.";
    CODE_SPENT = "code_spent", Unauthenticated, "The code was used, has expired or never existed.", "Ask for a new one.";
    FLOW_UNKNOWN = "flow_unknown", Unauthenticated, "invalid flow state, no valid flow state found", "The code was used, is another mount's or never existed; begin again.";
    FLOW_EXPIRED = "flow_expired", Unauthenticated, "invalid flow state, flow state has expired", "A code works for five minutes; begin again.";
    VERIFIER_WRONG = "verifier_wrong", Unauthenticated, "code challenge does not match previously saved code verifier", "Send the verifier of the challenge that the flow began with.";

    FORBIDDEN = "forbidden", Forbidden, "This is not allowed.", "`doorward audit list` names the rule.";
    WRONG_CLIENT = "wrong_client", Invalid, "The token was given to another client.", "Send the client_id it was asked for with.";
    SCOPE_MISSING = "scope_missing", Forbidden, "The credential's scopes do not cover this.", "Use a credential with a wider scope.";
    EMAIL_NOT_CONFIRMED = "email_not_confirmed", Forbidden, "Email not confirmed", "Open the link that was mailed to the address, or ask for another one.";
    FORWARD_AUTH_REFUSED = "forward_auth_refused", Forbidden, "The request is not let through.", "The message says whether the proxy, the request or [areas] has to change.";
    CROSS_SITE = "cross_site", Forbidden, "The request was not made by a page of this origin.", "Pages send Origin and, in X-CSRF-Token, what GET /v1/session answers; behind a proxy set server.public_url. Programs use a token or an API key.";
    LOGIN_TOO_OLD = "login_too_old", Forbidden, "This needs a fresh log-in.", "Log in again, then repeat it within five minutes.";
    LOGIN_REFUSED = "login_refused", Forbidden, "This log-in was refused.", "It was too odd for what `[anomalies]` says; the audit log has the finding.";
    EMAIL_NOT_ALLOWED = "email_not_allowed", Forbidden, "Accounts here are for other e-mail addresses.", "`allowed_domains` of the provider says whose; the provider must have confirmed the address.";
    NO_COOKIES = "no_cookies", Forbidden, "This mount keeps no sessions in cookies.", "Set cookie_sessions of the mount, or log in for a token.";
    SIGN_UP_CLOSED = "sign_up_closed", Forbidden, "Sign-up is closed here.", "An administrator can make the account.";
    BEYOND_KEY = "beyond_key", Forbidden, "This account reaches further than its own things, and is administered elsewhere.", "Use `doorward user`, or /v1/users as an administrator.";
    ANONYMOUS_CLOSED = "anonymous_closed", Forbidden, "Anonymous sign-ins are disabled", "Set anonymous_sign_ins of the mount, or sign up with an address.";
    SETUP_CLOSED = "setup_closed", Forbidden, "Setup is done; an administrator exists.", "Log in as that administrator.";
    LOOPBACK_ONLY = "loopback_only", Forbidden, "This is only answered on the machine itself.", "Call it from the machine Doorward runs on.";

    NOT_FOUND = "not_found", NotFound, "There is no such thing.", "What you may not see is answered like what does not exist.";
    RUN_NOT_FOUND = "run_not_found", NotFound, "Run not found", "The thread has no such run, or it was forgotten.";
    NO_ROUTE = "no_route", NotFound, "There is nothing at this path.", "Check the path and the mount's prefix.";
    METHOD_NOT_ALLOWED = "method_not_allowed", Method, "This path does not take this method.", "The Allow header lists those it takes.";

    EMAIL_TAKEN = "email_taken", Conflict, "This e-mail address is taken.", "Log in, or use another one.";
    USERNAME_TAKEN = "username_taken", Conflict, "This user name is taken.", "Use another one.";
    PHONE_TAKEN = "phone_taken", Conflict, "This phone number is taken.", "Use another one.";
    ID_TAKEN = "id_taken", Conflict, "There is another account with this id.", "Look at it with `doorward user show`; an import changes no account that is there.";
    ACCOUNT_EXISTS = "account_exists", Conflict, "There is an account with this e-mail address, and this provider does not open it yet.", "Log in as before, then add the provider with POST /v1/me/identities. If the account is not yours, an administrator can free the address.";
    IDENTITY_TAKEN = "identity_taken", Conflict, "This identity opens another account.", "Remove it there first.";
    LAST_WAY_IN = "last_way_in", Conflict, "Nothing else opens this account.", "Set a password or add another provider first.";
    CONFLICT = "conflict", Conflict, "It changed since it was read.", "Read it again and repeat.";
    WORKSPACE_EXISTS = "workspace_exists", Conflict, "There is a workspace with this id.", "Use another id, or overwrite it if it is yours.";
    TOO_MANY_WORKSPACES = "too_many_workspaces", Conflict, "The owner has as many workspaces as one may have.", "Delete one first; 100 are allowed.";
    ARTIFACT_EXISTS = "artifact_exists", Conflict, "There is an artifact with this alias.", "Use another alias, or overwrite it.";
    ARTIFACT_NOT_EMPTY = "artifact_not_empty", Conflict, "Other artifacts are within this one.", "Remove them first, or say recursive.";
    TOO_MANY_ARTIFACTS = "too_many_artifacts", Conflict, "The workspace keeps as many artifacts as it may, or as much in them.", "Remove some; 10,000 are allowed, and 64 MiB.";
    TOO_MANY_ITEMS = "too_many_items", Conflict, "The owner keeps as many items as one may, or as much in them.", "Remove some; 10,000 are allowed, and 64 MiB.";
    TOO_MANY_ASSISTANTS = "too_many_assistants", Conflict, "The owner has as many assistants as one may have, or as much in them.", "Delete some; 1,000 are allowed, and 32 MiB.";
    TOO_MANY_CRONS = "too_many_crons", Conflict, "The owner has as many crons as one may have, or as much in them.", "Delete some; 100 are allowed, and 8 MiB.";
    THREAD_BUSY = "thread_busy", Conflict, "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.", "Wait for the run, cancel it, or send another multitask_strategy.";
    LAST_ADMIN = "last_admin", Conflict, "This is the only administrator.", "Make another administrator first.";

    TOO_LARGE = "too_large", TooLarge, "The request is too large.", "The message names the limit.";
    UNSUPPORTED_MEDIA = "unsupported_media_type", Unsupported, "The body's media type is not supported here.", "Send application/json, uncompressed.";

    TOO_MANY_FAILURES = "too_many_failures", Limited, "Too many attempts", "Wait as long as Retry-After says. A valid credential is never refused.";
    TOO_MANY_STAND_INS = "too_many_stand_ins", Limited, "As many tokens of the start-up files are out as may be at once.", "Wait until some have ended; make them for a shorter time.";
    RATE_LIMITED = "rate_limited", Limited, "Too many requests", "Wait as long as Retry-After says.";
    MAIL_TOO_SOON = "mail_too_soon", Limited, "This address was written to a moment ago.", "Wait as long as Retry-After says; one letter a minute goes to an address.";
    HASHING_BUSY = "hashing_busy", Limited, "Too many password checks are waiting.", "Retry after a second.";
    PROVIDER_BUSY = "provider_busy", Limited, "Too many log-ins through this provider are under way.", "Wait as long as Retry-After says, then load the same page again.";
    AGENTS_BUSY = "agents_busy", Limited, "Every agent is at work.", "Wait as long as Retry-After says; `[agents] processes` and `queue` say how many there are.";

    UPSTREAM_UNREACHABLE = "upstream_unreachable", Upstream, "The agent server cannot be reached.", "Check that the upstream runs and its address is right.";
    UPSTREAM_INVALID = "upstream_invalid", Upstream, "The agent server's answer cannot be used.", "The log says what was wrong with it.";
    WEBHOOK_FAILED = "webhook_failed", Upstream, "The webhook did not answer.", "Check its URL; `[outbound] allow` lets origins inside through.";
    PROVIDER_UNAVAILABLE = "provider_unavailable", Upstream, "The provider cannot be asked now.", "Retry; the log says why. `[outbound]` says what may be reached.";
    STORE_UNAVAILABLE = "store_unavailable", Unavailable, "The store cannot answer now.", "Retry; if it stays so, check disk space and the log.";
    FEED_STALE = "revocations_unknown", Unavailable, "Revocations cannot be checked now.", "The store has not answered for too long; nobody is let in on old knowledge.";
    HANDLER_AWAY = "handler_unavailable", Unavailable, "Who you are cannot be found out now.", "The handler crashed, took too long or has too much to do; the log under its name has what it said.";
    ISSUER_UNAVAILABLE = "issuer_unavailable", Unavailable, "The keys of the token's issuer cannot be had now.", "Retry; the log says why the issuer's keys could not be fetched.";
    NOT_READY = "not_ready", Unavailable, "The server is not ready.", "`reason` says what is missing: stopping, store or keys. It recovers by itself unless it is stopping.";
    WRONG_MASTER_KEY = "wrong_master_key", Unavailable, "The master key does not open this store.", "Give the key the store was made with: secrets.master_key_file, or DOORWARD__SECRETS__MASTER_KEY.";
    HANDLER_FAILED = "handler_failed", Internal, "Internal Server Error", "The handler raised something that is no refusal; the log under its name has the traceback.";
    HANDLER_FILTER = "handler_filter_invalid", Internal, "The authorization handler returned a filter that cannot be enforced.", "The log says which part of it. Nothing is let through by half a filter.";
    INTERNAL = "internal", Internal, "Something went wrong on our side.", "Report it with the request id.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique() {
        let names: HashSet<_> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn every_code_says_what_is_wrong_and_in_a_sentence_what_to_do() {
        let sentence = |text: &str| text.ends_with('.') && text.split(' ').count() > 1;
        let silent = ALL.iter().filter(|code| code.message.is_empty() || !sentence(code.advice));
        assert_eq!(silent.map(|code| code.name).collect::<Vec<_>>(), [""; 0]);
    }
}
