//! An application's own actions and roles, as types.

/// Declares an application's own resource types with what can be done to them.
///
/// Each line makes a type that [`RequirePermission`](crate::RequirePermission) and [`Caller::permit`](crate::Caller::permit) take, and
/// each resource type a table `ALL` for [`Builder::actions`](crate::Builder::actions). Permissions, scopes and the audit log spell an
/// action `resource:name`. How far it reaches is one of:
///
/// | reach | covered by the scope | audited |
/// |---|---|---|
/// | `Read` | `read` | in batches |
/// | `Write` | `write` | on stable storage, before the act |
/// | `Admin` | no short one; needs an administrative credential besides | on stable storage, before the act |
///
/// ```
/// doorward::actions! {
///     /// What analysts write.
///     report {
///         /// Seeing one, and listing.
///         Read = "read", Read;
///         /// Writing one. Does not imply seeing those of others.
///         Create = "create", Write;
///     }
/// }
/// assert_eq!(report::ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! actions {
    ($($(#[$doc:meta])* $module:ident { $($(#[$adoc:meta])* $type:ident = $name:literal, $access:ident;)* })*) => {
        $(
            $(#[$doc])*
            pub mod $module {
                $(
                    $(#[$adoc])*
                    #[derive(Debug, Clone, Copy)]
                    pub struct $type;

                    impl $crate::Action for $type {
                        const DEF: &'static $crate::ActionDef = &$crate::ActionDef::of_application(
                            stringify!($module),
                            $name,
                            $crate::Reaches::$access,
                            $crate::Reaches::$access.usually_audited(),
                        );
                    }
                )*
                /// Every action on this resource type.
                pub const ALL: &[&$crate::ActionDef] = &[$(<$type as $crate::Action>::DEF,)*];
            }
        )*
    };
}

/// The built-in roles as types, for [`RequireRole`](crate::RequireRole).
pub mod roles {
    use crate::RoleName;

    /// Whoever has an account.
    #[derive(Debug, Clone, Copy)]
    pub struct User;
    /// Whoever has premium.
    #[derive(Debug, Clone, Copy)]
    pub struct Premium;
    /// Whoever administers.
    #[derive(Debug, Clone, Copy)]
    pub struct Admin;

    impl RoleName for User {
        const NAME: &'static str = "user";
    }
    impl RoleName for Premium {
        const NAME: &'static str = "premium";
    }
    impl RoleName for Admin {
        const NAME: &'static str = "admin";
    }
}
