//! Accounts and tokens in code: sign up, log in, verify, renew, revoke.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use doorward::{Doorward, Error, Login, NewUser, Revoked, SecretText, Subject};

fn ann(password: &str) -> Login {
    Login {
        login: "ann@example.org".into(),
        password: password.into(),
        client: Some("example".into()),
        scope: None,
        source: None,
        device: None,
    }
}

async fn say(doorward: &Doorward, what: &str, token: &SecretText) {
    match doorward.verify(token.expose(), None).await {
        Ok(caller) => println!("{what}: good, for {:?}", caller.scopes().unwrap_or(vec!["everything"])),
        Err(refused) => println!("{what}: {} ({})", refused.code(), refused.status()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let doorward = Doorward::builder().in_memory().open_sign_up().build().await?;
    let nobody = doorward.nobody(None).await?;
    let new = NewUser {
        email: Some("ann@example.org".into()),
        password: Some("correct horse battery staple 7".into()),
        ..NewUser::default()
    };
    let user = nobody.sign_up(new).await?;

    let wrong = nobody.log_in(ann("a wrong guess")).await.err().map(|error: Error| error.code());
    println!("A wrong password: {}", wrong.unwrap_or("let in"));
    let granted = nobody.log_in(ann("correct horse battery staple 7")).await?;
    say(&doorward, "Ann's token", &granted.access.token).await;
    let first = granted.refresh.ok_or("no refresh token")?;
    let renewed = nobody.refresh(&first, Some("example")).await?;
    say(&doorward, "Her next one", &renewed.access.token).await;

    // For a program that acts for Ann, narrower and shorter.
    let narrow = Subject {
        subject: user.id.to_string(),
        scope: Some("read".into()),
        ttl_s: Some(60),
        ..Subject::default()
    };
    let issued = doorward.system("example").issue_token(narrow).await?;
    say(&doorward, "A token for reading", &issued.token).await;

    doorward.system("example").revoke(Revoked::Principal(format!("local|{}", user.id))).await?;
    say(&doorward, "After everything of hers is revoked", &renewed.access.token).await;
    say(&doorward, "A token of somebody else's making", &"eyJhbGciOiJub25lIn0.e30.".into()).await;
    doorward.close().await;
    Ok(())
}
