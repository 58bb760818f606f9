//! A hierarchy of one's own roles: owner > editor > viewer, beside the built-in ones.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use doorward::{Action, Caller, Doorward, Error, NewUser, Role, Subject, Target, UserId};

doorward::actions! {
    /// A document that a team writes.
    document {
        /// Seeing one.
        Read = "read", Read;
        /// Changing one.
        Edit = "edit", Write;
        /// Throwing one away.
        Delete = "delete", Write;
    }
}

async fn user(doorward: &Doorward, name: &str, role: &str) -> Result<UserId, Error> {
    let new = NewUser { username: Some(name.into()), roles: vec![role.into()], ..NewUser::default() };
    Ok(doorward.system("example").create_user(new).await?.id)
}

/// Somebody with a fresh token; here it takes the place of a log-in.
async fn caller(doorward: &Doorward, user: &UserId) -> Result<Caller, Error> {
    let subject = Subject { subject: user.to_string(), ..Subject::default() };
    let issued = doorward.system("example").issue_token(subject).await?;
    doorward.verify(issued.token.expose(), None).await
}

/// Whether somebody may do it to a document of somebody else's.
fn may<A: Action>(caller: &Caller) -> Result<&'static str, Error> {
    match caller.permit::<A>(Target::owned("doc-1", "local|usr_somebody_else")) {
        Ok(permit) => permit.close(Ok("yes")).map_err(Error::from),
        Err(refused) => Ok(refused.code()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let doorward = Doorward::builder()
        .in_memory()
        .actions(document::ALL)
        .role(Role::new("viewer").inherits("user").allows("document:read@any"))
        .role(Role::new("editor").inherits("viewer").allows("document:edit@any"))
        .role(Role::new("owner").inherits("editor").allows("document:*@any"))
        .allow("user", ["document:*"]) // of one's own
        .build()
        .await?;
    println!("{:<8}{:<12}{:<12}delete", "", "read", "edit");
    for role in ["user", "viewer", "editor", "owner"] {
        let somebody = caller(&doorward, &user(&doorward, role, role).await?).await?;
        let (read, edit) = (may::<document::Read>(&somebody)?, may::<document::Edit>(&somebody)?);
        println!("{role:<8}{read:<12}{edit:<12}{}", may::<document::Delete>(&somebody)?);
    }
    let (eve, key) = (user(&doorward, "eve", "viewer").await?, "eve, once she is an editor");
    doorward.system("example").set_roles(&eve, ["editor"]).await?;
    println!("{key}: edit {}", may::<document::Edit>(&caller(&doorward, &eve).await?)?);
    Ok(())
}
