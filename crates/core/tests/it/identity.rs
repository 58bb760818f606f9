//! The first administrator.

use doorward_core::authz::Target;
use doorward_core::identity::users::NewUser;
use doorward_core::operation::Call;

use crate::house::{House, PASSWORD, code};

fn boss() -> NewUser {
    NewUser { username: Some("boss".into()), password: Some(PASSWORD.into()), ..NewUser::default() }
}

async fn from(house: &House, address: &str) -> Call {
    let nothing = doorward_core::authn::Presented::nothing();
    house.engine.authenticate(&house.mount, house.origin_at(address), &nothing).await.expect("nobody")
}

#[tokio::test]
async fn the_first_administrator_is_made_once_by_the_newest_printed_secret_on_the_machine_itself() {
    let house = House::new().await;
    let setup = house.engine.setup();
    let old = setup.secret().await.expect("works").expect("no administrator yet");
    let secret = setup.secret().await.expect("works").expect("no administrator yet");
    let guess = "dws_guess".into();
    let ask = async |address: &str, secret| {
        let permit = from(&house, address).await.permit(Target::any())?;
        house.engine.setup().administrator(permit, secret, boss()).await
    };
    assert_eq!(code(ask("192.0.2.1", &secret).await), "loopback_only");
    assert_eq!(code(ask("127.0.0.1", &old).await), "code_spent");
    assert_eq!(code(ask("127.0.0.1", &guess).await), "code_spent");
    let user = ask("::1", &secret).await.expect("made");
    assert_eq!(user.roles, ["admin".into()]);
    assert_eq!(code(ask("127.0.0.1", &secret).await), "setup_closed");
    assert!(setup.secret().await.expect("works").is_none(), "closed forever");
}

#[tokio::test]
async fn a_setup_secret_is_good_for_an_hour() {
    let house = House::new().await;
    let secret = house.engine.setup().secret().await.expect("works").expect("no administrator yet");
    house.clock.advance_s(3_600);
    let permit = from(&house, "127.0.0.1").await.permit(Target::any()).expect("may try");
    assert_eq!(code(house.engine.setup().administrator(permit, &secret, boss()).await), "code_spent");
}
