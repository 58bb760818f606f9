//! `doorward user`: people's accounts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{identity, user};
use doorward_core::id::{IdentityId, UserId};
use doorward_core::identity::model::{Identity, User};
use doorward_core::identity::users::{Administration, NewUser};
use doorward_core::ports::store::Page;
use doorward_core::principal::Principal;
use serde_json::json;

use crate::accounts::{Export, Import, export, import, role_names};
use crate::cli::{
    Descriptor, Failure, Inside, Output, PasswordSource, Run, StoreOptions, Surroundings, inside, moment,
    table,
};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Users>("user");

/// Make, show and change people's accounts
#[derive(Parser)]
#[command(
    name = "user",
    after_help = "\
A user is named by id, user name or e-mail address.

Examples:
  doorward user create --username ada --role admin
  doorward user list --json
  doorward user disable ada@example.com
  doorward user import accounts.jsonl --dry-run
  echo 'a new long password' | doorward user set-password ada --password-stdin"
)]
struct Users {
    #[command(subcommand)]
    what: What,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct Named {
    /// The user: id, user name or e-mail address
    user: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum What {
    /// Make an account; the password is asked for
    #[command(after_help = "Examples:\n  doorward user create --username ada --role admin\n  \
        echo 'a long password' | doorward user create --email ada@example.com --password-stdin")]
    Create {
        /// User name; this or an e-mail address is needed
        #[arg(long, value_name = "NAME", required_unless_present = "email")]
        username: Option<String>,
        /// E-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// What to call the person
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// A role; may be repeated [default: user]
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Make an account that cannot log in by password
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        common: Common,
    },
    /// List accounts, oldest first
    #[command(after_help = "Example:\n  doorward user list --limit 50 --json")]
    List {
        /// At most so many
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Begin after the user with this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Show one account
    #[command(after_help = "Example:\n  doorward user show ada --json")]
    Show(Named),
    /// Disable an account: it cannot log in, and its sessions, tokens and keys are refused
    #[command(after_help = "Example:\n  doorward user disable ada@example.com")]
    Disable(Named),
    /// Enable a disabled account
    #[command(after_help = "Example:\n  doorward user enable ada@example.com")]
    Enable(Named),
    /// Remove an account with its sessions and keys
    #[command(after_help = "Example:\n  doorward user delete ada --yes")]
    Delete {
        #[command(flatten)]
        named: Named,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Set a password and end every session; the password is asked for
    #[command(
        after_help = "Example:\n  echo 'a long password' | doorward user set-password ada --password-stdin"
    )]
    SetPassword {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the providers that open an account
    #[command(after_help = "Example:\n  doorward user identities ada")]
    Identities(Named),
    /// Remove a provider from an account; its sessions end
    #[command(after_help = "Example:\n  doorward user unlink ada idn_0123456789abcdef")]
    Unlink {
        /// The user: id, user name or e-mail address
        user: String,
        /// The identity, as `doorward user identities` lists it
        identity: String,
        #[command(flatten)]
        common: Common,
    },
    /// Replace the roles of an account
    #[command(after_help = "Example:\n  doorward user set-roles ada premium editor")]
    SetRoles {
        /// The user: id, user name or e-mail address
        user: String,
        /// The roles
        #[arg(required = true)]
        roles: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Take accounts of another system in, with the hashes of their passwords
    ///
    /// The file is JSON: an array of objects, or one object a line. Each account is made whole or not at all, and none that is there is
    /// changed, so the same file may be imported again. Its owner logs in with the password of before; the hash then becomes argon2id.
    /// Fails if rows were refused, when the others are in. Formats and codes: docs/reference/import.md.
    #[command(after_help = "Examples:\n  doorward user import accounts.jsonl --dry-run\n  \
        doorward user import users.json --format hypha --map-role editor=user --report refused.jsonl\n  \
        psql \"$DATABASE_URL\" -Atc 'select row_to_json(u) from auth.users u' | doorward user import -")]
    Import {
        /// The file; - is standard input
        file: PathBuf,
        /// users, hypha, supabase or auth0 [default: told by the members of the first row]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Say what would happen, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// A role of the file and what it is called here; may be repeated
        #[arg(long = "map-role", value_name = "THERE=HERE", value_parser = role_names)]
        role_names: Vec<(String, String)>,
        /// Take accounts with the role admin, too
        #[arg(long)]
        with_admins: bool,
        /// Write every refused row to this new file: its line and why
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Write every account as a line of JSON, as `user import` takes it
    ///
    /// Sessions, API keys and what providers say of people stay here.
    #[command(after_help = "Examples:\n  doorward user export > accounts.jsonl\n  \
        doorward user export --with-password-hashes --output accounts.jsonl")]
    Export {
        /// Write to this new file, for its owner alone, instead of to standard output
        #[arg(long = "output", value_name = "FILE")]
        output_file: Option<PathBuf>,
        /// Write the hashes of passwords, too: whoever has them can guess; never to a terminal
        #[arg(long)]
        with_password_hashes: bool,
        #[command(flatten)]
        common: Common,
    },
}

impl Run for Users {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::Create { username, email, display_name, roles, no_password, password, common } => {
                let password = if no_password { None } else { Some(password.read()?) };
                let new = NewUser { email, username, password, display_name, roles, ..NewUser::default() };
                let made = inside(&common.store, surroundings, async |inside| {
                    let permit = inside.permit::<user::Create>(Target::any())?;
                    Ok(inside.assembled.engine.users().create(permit, new).await?)
                })?;
                show(common.output, &made)
            }
            What::List { limit, after, common } => list(&common, limit, after, surroundings),
            What::Show(named) => {
                let shown = inside(&named.common.store, surroundings, async |inside| {
                    let id = inside.user(&named.user).await?.id;
                    let permit = inside.permit::<user::Read>(target(&id, &owner(&id)))?;
                    Ok(inside.assembled.engine.users().get(permit, &id).await?)
                })?;
                show(named.common.output, &shown)
            }
            What::Disable(named) => administer(
                &named.user,
                &named.common,
                Administration { disabled: Some(true), ..Administration::default() },
                surroundings,
            ),
            What::Enable(named) => administer(
                &named.user,
                &named.common,
                Administration { disabled: Some(false), ..Administration::default() },
                surroundings,
            ),
            What::Identities(named) => identities(&named, surroundings),
            What::Unlink { user, identity, common } => unlink(&user, &identity, &common, surroundings),
            What::SetRoles { user, roles, common } => administer(
                &user,
                &common,
                Administration { roles: Some(roles), ..Administration::default() },
                surroundings,
            ),
            What::Import { file, format, dry_run, role_names, with_admins, report, common } => {
                let administrators = with_admins;
                let wanted = Import { file, format, dry_run, role_names, administrators, report };
                import(&wanted, &common.store, common.output, surroundings)
            }
            What::Export { output_file, with_password_hashes, common } => {
                let wanted = Export { file: output_file, with_hashes: with_password_hashes };
                export(&wanted, &common.store, common.output, surroundings)
            }
            What::Delete { named, yes } => delete(&named, yes, surroundings),
            What::SetPassword { named, password } => set_password(&named, password, surroundings),
        }
    }
}

fn owner(id: &UserId) -> String {
    Principal::local(id).owner_key()
}

fn target<'t>(id: &'t UserId, owner: &'t str) -> Target<'t> {
    Target::owned(id.as_str(), owner)
}

fn list(
    common: &Common,
    limit: u32,
    after: Option<String>,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<user::List>(Target::any())?;
        Ok(inside.assembled.engine.users().list(permit, Page { after, limit }).await?)
    })?;
    common.output.answer(&found, || {
        let rows: Vec<_> = found.iter().map(row).collect();
        table(&["id", "user name", "e-mail", "roles", "state", "made"], &rows)
    })
}

fn row(user: &User) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let roles: Vec<&str> = user.roles.iter().map(|role| &**role).collect();
    let state = if user.disabled { "disabled" } else { "enabled" };
    vec![
        user.id.to_string(),
        or_dash(&user.username),
        or_dash(&user.email),
        roles.join(","),
        state.to_owned(),
        moment(user.created_at_ms),
    ]
}

fn show(output: Output, user: &User) -> Result<(), Failure> {
    output.answer(user, || {
        let mut rows: Vec<_> = ["id", "user name", "e-mail", "roles", "state", "made"]
            .iter()
            .zip(row(user))
            .map(|(name, value)| vec![(*name).to_owned(), value])
            .collect();
        rows.push(vec![
            "display name".to_owned(),
            user.display_name.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
        table(&["", ""], &rows)
    })
}

fn administer(
    name: &str,
    common: &Common,
    changes: Administration,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let changed = inside(&common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(name).await?.id;
        let permit = inside.permit::<user::Administer>(target(&id, &owner(&id)))?;
        Ok(inside.assembled.engine.users().administer(permit, &id, changes).await?)
    })?;
    show(common.output, &changed)
}

fn identities(named: &Named, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&named.common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(&named.user).await?.id;
        let permit = inside.permit::<identity::Read>(target(&id, &owner(&id)))?;
        Ok(inside.assembled.engine.identities().list(permit, &id).await?)
    })?;
    named.common.output.answer(&found, || {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let row = |one: &Identity| {
            vec![
                one.id.to_string(),
                one.authority.clone(),
                one.subject.clone(),
                or_dash(&one.shown),
                moment(one.last_used_at_ms),
            ]
        };
        let rows: Vec<_> = found.iter().map(row).collect();
        table(&["id", "authority", "subject", "known as", "last used"], &rows)
    })
}

fn unlink(name: &str, which: &str, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let id = inside(&common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(name).await?.id;
        let permit = inside.permit::<identity::Unlink>(target(&id, &owner(&id)))?;
        let which = IdentityId::from(which);
        inside.assembled.engine.identities().unlink(permit, &id, &which, None).await?;
        Ok(id)
    })?;
    common.output.answer(&json!({ "unlinked": which, "user": id }), || {
        format!("Removed {which} from {id}; its sessions have ended.")
    })
}

fn delete(named: &Named, yes: bool, surroundings: &Surroundings) -> Result<(), Failure> {
    if !yes {
        return Err(Failure::usage(
            format!("deleting {:?} cannot be undone", named.user),
            "say --yes, or disable the account instead",
        ));
    }
    let gone = inside(&named.common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(&named.user).await?.id;
        let permit = inside.permit::<user::Delete>(target(&id, &owner(&id)))?;
        inside.assembled.engine.users().delete(permit, &id).await?;
        Ok(id)
    })?;
    named.common.output.answer(&json!({ "deleted": gone }), || format!("Deleted {gone}."))
}

fn set_password(named: &Named, password: PasswordSource, surroundings: &Surroundings) -> Result<(), Failure> {
    let new = password.read()?;
    let id = inside(&named.common.store, surroundings, async |inside: &Inside| {
        let id = inside.user(&named.user).await?.id;
        let permit = inside.permit::<user::Update>(target(&id, &owner(&id)))?;
        inside.assembled.engine.users().set_password(permit, &id, None, &new).await?;
        Ok(id)
    })?;
    named.common.output.answer(&json!({ "changed": id }), || {
        format!("Changed the password of {id}; its sessions have ended.")
    })
}
