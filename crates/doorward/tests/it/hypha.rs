//! A mount that speaks Hypha, as the configuration and the environment make it.

use std::fs;

use doorward::assemble::{Assembled, assemble};
use doorward::cli::Surroundings;
use doorward::config::Sources;
use doorward::refusals::{refusals, warnings};
use doorward::setup::{Mode, Setup};
use doorward_core::authn::{NoHeaders, Offered, Place, Presented};
use doorward_core::id::RequestId;
use doorward_core::operation::{Call, Origin};
use doorward_core::tokens::{HubToken, HubTokenKind};
use doorward_core::workspaces::WorkspaceScope;
use tempfile::TempDir;

use crate::serve::{configured, private};

const STRONG: &str = "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w";
const MOUNT: &str = "[mounts.hypha]\n";

fn environment(home: &TempDir, more: &[(&str, &str)]) -> Surroundings {
    let place = |name: &str| home.path().join(name).to_str().expect("UTF-8").to_owned();
    let given = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // The file's paths are relative to it; nothing here is to the directory of the tests.
    let own = [("DOORWARD__STORE__PATH".to_owned(), place("store/doorward.db"))];
    Surroundings { environment: own.into_iter().chain(given).collect() }
}

fn read(home: &TempDir, mode: Mode, more: &[(&str, &str)]) -> Result<Setup, String> {
    let surroundings = environment(home, more);
    let sources = Sources {
        file: Some(home.path().join("doorward.toml")),
        environment: surroundings.environment.clone(),
        ..Sources::default()
    };
    Setup::read(mode, &sources, &surroundings).map_err(|problems| problems.to_string())
}

async fn assembled(home: &TempDir, more: &[(&str, &str)]) -> Assembled {
    let setup = read(home, Mode::Serve, more).expect("good");
    assemble(&setup).await.unwrap_or_else(|failure| unreachable!("{failure:?}"))
}

fn hub(assembled: &Assembled) -> &std::sync::Arc<doorward_core::mount::Mount> {
    let found = assembled.mounts.iter().find(|mounted| mounted.config.name == "hypha");
    &found.expect("a mount").mount
}

async fn show(at: &Assembled, text: Option<&str>) -> doorward_core::Result<Call> {
    let offered = text.map(|text| Offered { place: Place::Bearer, text });
    let presented = Presented { offered, headers: &NoHeaders, ..Presented::nothing() };
    let request = RequestId::new(at.engine.clock(), at.engine.random());
    at.engine.authenticate(hub(at), Origin { request, address: None, user_agent: None }, &presented).await
}

#[tokio::test]
async fn a_mount_has_its_chain_its_lives_and_keys_of_our_own() {
    let home = configured(&format!("{MOUNT}cookie_sessions = true\nmax_token_life_s = 600000\n"));
    let at = assembled(&home, &[]).await;
    let mount = hub(&at);
    let chain: Vec<_> = mount.chain.names().collect();
    assert_eq!(chain, ["api_key", "hub_token", "own_token", "session_cookie", "visitor"]);
    assert_eq!((mount.surface, mount.tokens.typ, &*mount.tokens.authority), ("hypha", "hub+jwt", "hypha"));
    assert_eq!((mount.tokens.access_ttl_s, mount.tokens.max_ttl_s), (3_600, 600_000));
    assert!(show(&at, None).await.expect("a visitor").auth.is_anonymous());
    let home = configured(&format!("{MOUNT}max_token_life_s = 60\n"));
    let at = assembled(&home, &[]).await;
    assert_eq!((hub(&at).tokens.access_ttl_s, hub(&at).tokens.max_ttl_s), (60, 60));
    let home = configured(MOUNT);
    assert_eq!(hub(&assembled(&home, &[]).await).tokens.max_ttl_s, 172_800);
}

#[tokio::test]
async fn servers_that_share_a_secret_take_each_others_tokens_and_others_do_not() {
    // Each has an address and a master key of its own; who made a token may not depend on either.
    let server = |url: &str| configured(&format!("[server]\npublic_url = \"{url}\"\n{MOUNT}"));
    let (one, two, three) =
        (server("https://one.example"), server("https://two.example"), server("https://three.example"));
    let file = two.path().join("keys/jwt");
    private(&file, &format!("{STRONG}\n"));
    let file = file.to_str().expect("UTF-8");
    let here = assembled(&one, &[("HYPHA_JWT_SECRET", STRONG), ("JWT_SECRET", "not this one")]).await;
    let there = assembled(&two, &[("DOORWARD__MOUNTS__HYPHA__JWT_SECRET_FILE", file)]).await;
    let stranger = assembled(&three, &[("JWT_SECRET", "Another4tYbL9uRcHgE2jAo6dVi8nXkTlQy5wZx3vN7q")]).await;
    let call = show(&here, None).await.expect("a visitor");
    let wanted = HubToken {
        workspaces: WorkspaceScope::default(),
        ttl_s: None,
        kind: HubTokenKind::SameSubject,
        email: None,
        roles: None,
    };
    let issued = here.engine.hub_token(&hub(&here).tokens, &call, wanted).await.expect("made");
    let token = issued.token.expose().as_str();
    for (name, at) in [("here", &here), ("there", &there)] {
        let back = show(at, Some(token)).await.unwrap_or_else(|error| unreachable!("{name}: {error:?}"));
        assert_eq!(back.auth.principal, call.auth.principal, "{name}");
    }
    assert!(show(&stranger, Some(token)).await.is_err());
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_in_serve_and_warned_of_in_dev() {
    let home = configured(MOUNT);
    for variable in ["HYPHA_JWT_SECRET", "JWT_SECRET"] {
        let weak = [(variable, "your-secret-key")];
        let setup = read(&home, Mode::Serve, &weak).expect("readable");
        let said: Vec<_> = refusals(&setup).iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|text| text.contains(variable) && text.contains("weak")), "{said:?}");
        assert!(said.iter().all(|text| !text.contains("your-secret-key")), "{said:?}");
        let setup = read(&home, Mode::Dev, &weak).expect("readable");
        assert!(warnings(&setup).iter().any(|text| text.contains(variable)));
        let setup = read(&home, Mode::Serve, &[(variable, STRONG)]).expect("readable");
        assert!(refusals(&setup).iter().all(|problem| !problem.to_string().contains(variable)));
    }
    let bare = configured("");
    let setup = read(&bare, Mode::Serve, &[("JWT_SECRET", "your-secret-key")]).expect("readable");
    assert!(
        refusals(&setup).iter().all(|problem| !problem.to_string().contains("JWT_SECRET")),
        "nobody uses it"
    );
}

#[test]
fn a_secrets_file_is_read_and_kept_to_oneself() {
    let home = configured(&format!("{MOUNT}jwt_secret_file = \"keys/jwt\"\n"));
    let said = read(&home, Mode::Serve, &[]).err().expect("no such file");
    assert!(said.contains("mounts.hypha.jwt_secret_file"), "{said}");
    let file = home.path().join("keys/jwt");
    private(&file, STRONG);
    let setup = read(&home, Mode::Serve, &[]).expect("readable");
    assert!(refusals(&setup).iter().all(|problem| !problem.to_string().contains("jwt_secret_file")));
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("opened");
    let setup = read(&home, Mode::Serve, &[]).expect("readable");
    assert!(refusals(&setup).iter().any(|problem| problem.to_string().contains("jwt_secret_file")));
    let other = configured("[mounts.muxi]\njwt_secret_file = \"keys/jwt\"\n");
    assert!(read(&other, Mode::Serve, &[]).is_err(), "no other surface has one");
}

#[test]
fn hyphas_variable_names_the_origins_where_the_configuration_does_not() {
    let origins = |text: &str, value: &str| {
        let home = configured(text);
        let setup = read(&home, Mode::Serve, &[("ALLOW_ORIGINS", value)])?;
        let shown =
            setup.config.settings.iter().find(|setting| setting.key.ends_with("hypha.cors_origins")).cloned();
        let mounts = setup.config.mounts.into_iter();
        let all = mounts
            .map(|mount| (mount.name, mount.cors_origins))
            .collect::<std::collections::BTreeMap<_, _>>();
        Ok::<_, String>((all, shown))
    };
    let both = "https://a.example,https://b.example:8443";
    let (all, shown) =
        origins("[mounts.hypha]\n[mounts.hub]\nsurface = \"hypha\"\n[mounts.muxi]\n", both).expect("good");
    let listed = vec!["https://a.example".to_owned(), "https://b.example:8443".to_owned()];
    assert_eq!((&all["hypha"], &all["hub"]), (&listed, &listed));
    assert!(all["muxi"].is_empty() && all["native"].is_empty());
    assert!(shown.is_some_and(|setting| setting.origin.to_string() == "environment ALLOW_ORIGINS"));
    let own = "[mounts.hypha]\ncors_origins = [\"https://own.example\"]\n";
    assert_eq!(origins(own, both).expect("good").0["hypha"], ["https://own.example"]);
    assert!(origins(MOUNT, " ").expect("unset").0["hypha"].is_empty());
    let said = origins(MOUNT, "*").expect_err("no wildcard");
    assert!(said.contains("cors_origins") && said.contains("ALLOW_ORIGINS"), "{said}");
}
