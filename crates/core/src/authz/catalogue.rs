//! Every resource type and every action there is.
//!
//! A route names one of these when it is declared; the decision function knows no others. The matrix
//! (`tests/it/matrix.txt`) has a line for each, and a test fails if one is missing.

use std::fmt;

use crate::workspaces::Permission;

/// How far an action reaches, which is also what the short scopes `read` and `write` cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Looks only.
    Read,
    /// Changes what its caller owns.
    Write,
    /// Changes what everybody depends on; never reachable with a user key, nor by the scopes `read` and `write`.
    Admin,
}

/// How an action is audited (`docs/adr/0007`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditClass {
    /// A line on stable storage, with or before the effect.
    Durable,
    /// A line in batches; the last second may be lost with the machine.
    Buffered,
}

impl Access {
    /// How an action of this reach is audited where nothing speaks against it.
    #[must_use]
    pub const fn usually_audited(self) -> AuditClass {
        match self {
            Self::Read => AuditClass::Buffered,
            Self::Write | Self::Admin => AuditClass::Durable,
        }
    }
}

/// One action on one resource type.
#[derive(Debug, PartialEq, Eq)]
pub struct ActionDef {
    /// The resource type, such as `thread`.
    pub resource: &'static str,
    /// The action, such as `create`.
    pub name: &'static str,
    /// How far it reaches.
    pub access: Access,
    /// How it is audited.
    pub audit: AuditClass,
    /// Whether it is one of Doorward's own: nobody else's passes for one, however it is spelled.
    pub(super) is_built_in: bool,
}

impl ActionDef {
    /// An action of an application's own.
    #[must_use]
    pub const fn of_application(
        resource: &'static str,
        name: &'static str,
        access: Access,
        audit: AuditClass,
    ) -> Self {
        Self { resource, name, access, audit, is_built_in: false }
    }

    /// Whether the action is always aimed at one thread that there is, or at one area, so that it can be allowed for a single one. What
    /// makes a thread, or asks for what is no thread's, is not.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        match self.resource {
            "area" => true,
            "thread" => self.name != "create",
            "message" | "run" => true,
            "graph" => self.name != "read",
            _ => false,
        }
    }

    /// Whether it is an action on a workspace, or on what is offered in one: what the credential was given there counts.
    #[must_use]
    pub fn is_of_a_workspace(&self) -> bool {
        matches!(self.resource, "workspace" | "hub_service" | "artifact")
    }

    /// What a credential has to be given in a workspace to do this in one that its holder does not own; `None` where nothing that is given
    /// suffices.
    #[must_use]
    pub fn permission_needed(&self) -> Option<Permission> {
        match (self.resource, self.name) {
            ("workspace", "read" | "list")
            | ("hub_service", "read" | "call")
            | ("artifact", "read" | "list") => Some(Permission::Read),
            ("workspace", "use") | ("hub_service", "register") | ("artifact", "create" | "edit") => {
                Some(Permission::ReadWrite)
            }
            ("workspace", "manage" | "share" | "token" | "delete") | ("artifact", "delete") => {
                Some(Permission::Admin)
            }
            _ => None,
        }
    }

    /// Whether what it gives away stays when the credential has ended. Such a thing is done by nobody who came with a credential that is
    /// confined to a workspace: whatever that one gives ends with it.
    #[must_use]
    pub fn outlives_its_credential(&self) -> bool {
        matches!((self.resource, self.name), ("workspace", "share"))
    }

    /// Whether a credential that is confined to workspaces reaches it beside them.
    #[must_use]
    pub fn is_for_the_confined(&self) -> bool {
        matches!((self.resource, self.name), ("service", "ping" | "describe") | ("token", "surrender"))
    }
}

impl fmt::Display for ActionDef {
    /// `resource:action`, the spelling of scopes and of the audit log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.name)
    }
}

/// An action as a type, so that a service can demand a permit for exactly it.
pub trait Action: Send + Sync + 'static {
    /// The action's row.
    const DEF: &'static ActionDef;
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $module:ident { $($(#[$adoc:meta])* $type:ident = $name:literal, $access:ident, $audit:ident;)* })*) => {
        $(
            $(#[$doc])*
            pub mod $module {
                use super::{Access, Action, ActionDef, AuditClass};
                $(
                    $(#[$adoc])*
                    #[derive(Debug)]
                    pub struct $type;
                    impl Action for $type {
                        const DEF: &'static ActionDef = &ActionDef {
                            resource: stringify!($module),
                            name: $name,
                            access: Access::$access,
                            audit: AuditClass::$audit,
                            is_built_in: true,
                        };
                    }
                )*
            }
        )*
        /// The table.
        pub static ALL: &[&ActionDef] = &[$($($module::$type::DEF,)*)*];
    };
}

catalogue! {
    /// People's accounts. The owner of an account is its user.
    user {
        /// Making an account for oneself. Does not imply making one for others.
        SignUp = "sign_up", Write, Durable;
        /// Making an account for somebody, with roles.
        Create = "create", Admin, Durable;
        /// Seeing an account. Does not imply listing.
        Read = "read", Read, Buffered;
        /// Seeing all accounts.
        List = "list", Admin, Buffered;
        /// Taking all accounts out, with the hashes of their passwords. Does not imply making them elsewhere.
        Export = "export", Admin, Durable;
        /// Changing name, address, password and user metadata. Does not imply roles, admin metadata or disabling.
        Update = "update", Write, Durable;
        /// Changing roles, admin metadata, and whether the account is disabled.
        Administer = "administer", Admin, Durable;
        /// Removing an account and everything that hangs on it.
        Delete = "delete", Write, Durable;
    }
    /// Stays of a person, from login to logout.
    session {
        /// Logging in, with a password or through a provider.
        Login = "login", Write, Durable;
        /// Seeing sessions.
        Read = "read", Read, Buffered;
        /// Ending sessions, with their tokens.
        End = "end", Write, Durable;
    }
    /// Logging in through somebody else, up to where they send the browser back.
    login {
        /// Beginning. Does not imply `session:login`, which the way back needs.
        Begin = "begin", Write, Buffered;
    }
    /// Who providers say that somebody is.
    identity {
        /// Seeing one's own.
        Read = "read", Read, Buffered;
        /// Adding one to one's account, so that it opens it.
        Link = "link", Write, Durable;
        /// Removing one.
        Unlink = "unlink", Write, Durable;
    }
    /// JWTs and refresh tokens.
    token {
        /// Exchanging a refresh token.
        Refresh = "refresh", Write, Durable;
        /// Making a token for somebody else.
        Issue = "issue", Admin, Durable;
        /// Revoking a token of one's own.
        Revoke = "revoke", Write, Durable;
        /// Handing in a token or refresh token so that nobody can use it any more: whoever has it may.
        Surrender = "surrender", Write, Durable;
        /// Asking what a token is worth. One's own; of anybody's for administrators.
        Introspect = "introspect", Read, Buffered;
        /// Revoking tokens of anybody, or of all.
        RevokeAny = "revoke_any", Admin, Durable;
    }
    /// API keys.
    api_key {
        /// Making a user key for oneself. Its scopes never exceed the maker's.
        Create = "create", Write, Durable;
        /// Making a key that reaches administrative actions, or a key for somebody else.
        CreateAdmin = "create_admin", Admin, Durable;
        /// Seeing keys (never the key itself).
        Read = "read", Read, Buffered;
        /// Revoking keys.
        Revoke = "revoke", Write, Durable;
    }
    /// Keys that sign tokens.
    signing_key {
        /// Seeing which keys exist (never private halves).
        Read = "read", Admin, Buffered;
        /// Making a new signing key; old ones go on verifying.
        Rotate = "rotate", Admin, Durable;
        /// Ending a key: its tokens are refused from then on.
        Retire = "retire", Admin, Durable;
    }
    /// Copies of everything that is kept.
    backup {
        /// Making one. Does not imply the master key, without which what is sealed in it stays so.
        Make = "make", Admin, Durable;
        /// Putting one in the place of what is there.
        Restore = "restore", Admin, Durable;
    }
    /// The audit log.
    audit {
        /// Reading it.
        Read = "read", Admin, Buffered;
    }
    /// Webhooks.
    webhook {
        /// Seeing what waits for them.
        Read = "read", Admin, Buffered;
        /// Having them told again, or tested.
        Send = "send", Admin, Durable;
    }
    /// Conversations with an agent, here or upstream.
    thread {
        /// Starting one.
        Create = "create", Write, Durable;
        /// Seeing one, with its state.
        Read = "read", Read, Buffered;
        /// Listing and searching.
        List = "list", Read, Buffered;
        /// Changing name, metadata or state.
        Update = "update", Write, Durable;
        /// Removing one with its messages and runs.
        Delete = "delete", Write, Durable;
    }
    /// Messages of a thread.
    message {
        /// Adding one.
        Create = "create", Write, Durable;
        /// Seeing them.
        Read = "read", Read, Buffered;
        /// Removing one.
        Delete = "delete", Write, Durable;
    }
    /// An agent at work in a thread.
    run {
        /// Starting one.
        Create = "create", Write, Durable;
        /// Seeing it, and following its stream.
        Read = "read", Read, Buffered;
        /// Stopping it.
        Cancel = "cancel", Write, Durable;
        /// Forgetting it. Its messages stay.
        Delete = "delete", Write, Durable;
    }
    /// An agent with its settings, as LangGraph has them.
    assistant {
        /// Making one.
        Create = "create", Write, Durable;
        /// Seeing one, with its graph and schemas.
        Read = "read", Read, Buffered;
        /// Searching and counting.
        List = "list", Read, Buffered;
        /// Changing one, or which version of it counts.
        Update = "update", Write, Durable;
        /// Removing one.
        Delete = "delete", Write, Durable;
    }
    /// Runs that begin by the clock.
    cron {
        /// Making one.
        Create = "create", Write, Durable;
        /// Seeing one.
        Read = "read", Read, Buffered;
        /// Searching and counting.
        List = "list", Read, Buffered;
        /// Changing one.
        Update = "update", Write, Durable;
        /// Removing one.
        Delete = "delete", Write, Durable;
    }
    /// An agent's graph upstream.
    graph {
        /// Seeing its shape, schema and tools.
        Read = "read", Read, Buffered;
        /// Running it without a stream.
        Invoke = "invoke", Write, Durable;
        /// Running it with a stream.
        Stream = "stream", Write, Durable;
        /// Stopping a run of it.
        Stop = "stop", Write, Durable;
        /// Mending the state a broken run left.
        Fix = "fix", Write, Durable;
    }
    /// Long-term memory, here or upstream.
    store {
        /// Seeing a memory.
        Read = "read", Read, Buffered;
        /// Searching memories.
        Search = "search", Read, Buffered;
        /// Seeing under which names there are memories.
        ListNamespaces = "list_namespaces", Read, Buffered;
        /// Keeping or changing one.
        Write = "write", Write, Durable;
        /// Forgetting.
        Delete = "delete", Write, Durable;
    }
    /// Uploaded files upstream.
    file {
        /// Uploading.
        Upload = "upload", Write, Durable;
        /// Seeing and fetching.
        Read = "read", Read, Buffered;
    }
    /// Rooms in which clients offer each other services. Beside its owner, whoever was given enough in it may act.
    workspace {
        /// Making one of a name of one's choice. One's own, `ws-user-…`, needs none of this.
        Create = "create", Write, Durable;
        /// Being in it, and seeing what is offered to those in it. Does not imply offering anything.
        Read = "read", Read, Buffered;
        /// Listing those that one owns or was given.
        List = "list", Read, Buffered;
        /// Sending to everybody in it. Does not imply its settings.
        Use = "use", Write, Buffered;
        /// Its settings, and what others offer in it.
        Manage = "manage", Write, Durable;
        /// Saying who else owns it or may be in it.
        Share = "share", Write, Durable;
        /// Making tokens for it. Such a token reaches no further than its maker.
        Token = "token", Write, Durable;
        /// Removing it.
        Delete = "delete", Write, Durable;
    }
    /// What clients offer in a workspace.
    hub_service {
        /// Offering something, and taking it back.
        Register = "register", Write, Buffered;
        /// Seeing what is offered to those in the workspace.
        Read = "read", Read, Buffered;
        /// Calling it. What it answers to whom is its own business.
        Call = "call", Write, Buffered;
    }
    /// What is kept in a workspace: a manifest under a name, perhaps within another. Its own permissions count beside those in the workspace.
    artifact {
        /// Keeping something, and replacing it as a whole.
        Create = "create", Write, Durable;
        /// Seeing one.
        Read = "read", Read, Buffered;
        /// Listing what is in a workspace or within another.
        List = "list", Read, Buffered;
        /// Changing one.
        Edit = "edit", Write, Durable;
        /// Removing one. Who made it may, as long as they may write where it is.
        Delete = "delete", Write, Durable;
    }
    /// Parts of a product that some roles have and others have not.
    feature {
        /// What everybody with an account has.
        Basic = "basic", Read, Buffered;
        /// What premium has beside. Does not imply the dashboard.
        Premium = "premium", Read, Buffered;
    }
    /// The overview for administrators.
    dashboard {
        /// Seeing it. Does not imply changing anything.
        Read = "read", Admin, Buffered;
    }
    /// Parts of sites behind a proxy that asks here before it lets a request through (`[areas]`). A role names them one by one,
    /// `area:read@native/reports`; nobody owns them.
    area {
        /// Requests that look: GET, HEAD and OPTIONS.
        Read = "read", Read, Buffered;
        /// All others. Does not imply looking.
        Write = "write", Write, Buffered;
    }
    /// What an agent server says about itself: liveness and capabilities.
    service {
        /// Asking whether it is there.
        Ping = "ping", Read, Buffered;
        /// Reading its capabilities.
        Describe = "describe", Read, Buffered;
    }
}

/// The action called `resource:name`.
#[must_use]
pub fn find(resource: &str, name: &str) -> Option<&'static ActionDef> {
    ALL.iter().copied().find(|def| def.resource == resource && def.name == name)
}
