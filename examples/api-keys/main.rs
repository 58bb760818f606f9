//! API keys: made with scopes and an end, shown once, checked, revoked.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::sync::Arc;

use doorward::{Action, ApiKeyKind, Doorward, Error, Expiry, ManualClock, NewApiKey, NewUser};

doorward::actions! {
    /// What a shop sells.
    product {
        /// Seeing what there is.
        Read = "read", Read;
        /// Changing a price.
        Price = "price", Write;
    }
}

/// What a key may do, or why it is not one.
async fn say<A: Action>(doorward: &Doorward, who: &str, key: &str) {
    let checked = doorward.verify(key, None).await.and_then(|caller| caller.may::<A>());
    let said =
        checked.map_or_else(|error: Error| format!("{} {}", error.status(), error.code()), |()| "yes".into());
    println!("{who}, {}: {said}", A::DEF);
}

fn new(name: &str, scopes: &[&str], expiry: Expiry) -> NewApiKey {
    NewApiKey { name: name.into(), scopes: scopes.iter().map(|&scope| scope.into()).collect(), expiry }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Tests stop the clock and set it forward.
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let builder = Doorward::builder().in_memory().clock(clock.clone());
    let doorward = builder.actions(product::ALL).allow("user", ["product:*"]).build().await?;
    let system = doorward.system("example");
    let user = system.create_user(NewUser { username: Some("shop".into()), ..NewUser::default() }).await?;

    let scopes = ["product:read", "api_key:*"];
    let made =
        system.create_api_key_for(&user.id, ApiKeyKind::User, new("window", &scopes, Expiry::InSeconds(60)));
    let made = made.await?;
    let key = made.secret.expose();
    println!("A key begins with {} and is shown once", &key[..8]);
    say::<product::Read>(&doorward, "It", key).await;
    say::<product::Price>(&doorward, "It", key).await;

    // Its holder makes another one, which reaches no further.
    let holder = doorward.verify(key, None).await?;
    let wider = holder.create_api_key(new("wider", &["product:*"], Expiry::Never)).await.err();
    println!("One that reaches further: {}", wider.map_or("made", |error| error.code()));
    let second = holder.create_api_key(new("second", &["product:read"], Expiry::InSeconds(30))).await?;
    say::<product::Read>(&doorward, "One that does not", second.secret.expose()).await;
    holder.revoke_api_key(&second.key.id).await?;
    say::<product::Read>(&doorward, "It is revoked", second.secret.expose()).await;

    clock.advance_s(61);
    say::<product::Read>(&doorward, "The first one a minute later", key).await;
    doorward.close().await;
    Ok(())
}
