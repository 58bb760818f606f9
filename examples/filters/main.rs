//! Whose things: what a permission lets through goes into the application's own query.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use doorward::{Caller, Doorward, Error, Filter, NewUser, Role, Subject, Target};

doorward::actions! {
    /// What people spend.
    expense {
        /// Seeing them.
        Read = "read", Read;
    }
}

/// The condition of a query over `expenses(id, owner, …)`, with its parameters. What it has no words for lets nothing through.
fn condition(filter: &Filter) -> (String, Vec<String>) {
    let all = |filters: &[Filter], between: &str| {
        let (texts, values): (Vec<_>, Vec<_>) = filters.iter().map(condition).unzip();
        (format!("({})", texts.join(between)), values.concat())
    };
    match filter {
        Filter::Everything => ("TRUE".into(), Vec::new()),
        Filter::Owner(owner) => ("owner = ?".into(), vec![owner.clone()]),
        Filter::And(filters) => all(filters, " AND "),
        Filter::Or(filters) => all(filters, " OR "),
        _ => ("FALSE".into(), Vec::new()),
    }
}

async fn caller(doorward: &Doorward, name: &str, role: &str) -> Result<Caller, Error> {
    let system = doorward.system("example");
    let new = NewUser { username: Some(name.into()), roles: vec![role.into()], ..NewUser::default() };
    let subject = Subject { subject: system.create_user(new).await?.id.to_string(), ..Subject::default() };
    doorward.verify(system.issue_token(subject).await?.token.expose(), None).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let doorward = Doorward::builder()
        .in_memory()
        .actions(expense::ALL)
        .allow("user", ["expense:read"])
        .role(Role::new("auditor").inherits("user").allows("expense:read@any"))
        .build()
        .await?;
    let (ann, bob) = (caller(&doorward, "ann", "user").await?, caller(&doorward, "bob", "auditor").await?);
    let expenses = [("train", ann.owner_key()), ("lunch", bob.owner_key()), ("hotel", ann.owner_key())];
    for (name, who) in [("Ann", &ann), ("Bob, who audits", &bob)] {
        // In a handler: `permission.filter()` of RequirePermission<expense::Read>.
        let permit = who.permit::<expense::Read>(Target::any())?;
        let (text, values) = condition(permit.filter());
        println!("{name}: SELECT … WHERE {text}, with {} parameter(s)", values.len());
        let seen = expenses.iter().filter(|(_, owner)| text == "TRUE" || values.contains(owner));
        let seen: Vec<_> = seen.map(|(what, _)| *what).collect();
        println!("  sees {}", permit.close(Ok(seen.join(", "))).map_err(Error::from)?);
        let theirs = who.permit::<expense::Read>(Target::owned("lunch", &bob.owner_key()));
        println!(
            "  lunch: {}",
            theirs.map_or_else(
                |refused| refused.code(),
                |permit| permit.close(Ok("there")).unwrap_or("failed")
            )
        );
    }
    Ok(())
}
