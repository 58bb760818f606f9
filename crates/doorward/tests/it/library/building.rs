//! What the builder refuses, and how it says so.

use doorward::{ActionDef, AuditClass, Doorward, Reaches, Role};

use super::{builder, report, with_key};

static LOUD: ActionDef = ActionDef::of_application("Report", "read", Reaches::Read, AuditClass::Buffered);
static OURS: ActionDef = ActionDef::of_application("user", "pat", Reaches::Read, AuditClass::Buffered);

async fn why(builder: doorward::Builder) -> String {
    match builder.build().await {
        Ok(_) => "built".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_cannot_be_built_says_what_to_do() {
    let memory = || Doorward::builder().in_memory();
    for (name, builder, part) in [
        ("no place for the key", Doorward::builder().sqlite("nowhere.db"), "master_key_file"),
        ("a name that is no scope", memory().actions(&[&LOUD]), "\"Report:read\""),
        ("a resource type of ours", memory().actions(&[&OURS]), "Doorward's own"),
        ("a role that is not there", memory().allow("analyst", ["thread:read"]), "Builder::role"),
        ("a permission that names nothing", memory().allow("user", ["report:read"]), "report:read"),
        ("a parent that is not there", memory().role(Role::new("a").inherits("b")), "\"b\""),
        ("a role's name that is none", memory().role(Role::new("Big Boss")), "\"Big Boss\""),
        ("a setting that is not there", memory().setting("tokens.colour", "red"), "tokens.colour"),
        ("a setting with a wrong value", memory().setting("tokens.access_ttl_s", "soon"), "access_ttl_s"),
        ("a mount that is not there", memory().mount("flow"), "\"flow\""),
        ("a file that is not there", memory().config_file("no/such.toml"), "no/such.toml"),
    ] {
        let said = why(builder).await;
        assert!(said.contains(part), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_mount_whose_handlers_decide_is_no_mount_for_an_application() {
    let home = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).expect("written");
    write("auth.py", "auth = None\n");
    write("langgraph.json", "{\"graphs\": {}, \"auth\": {\"path\": \"./auth.py:auth\"}}");
    write("app.toml", "[mounts.graph]\nsurface = \"langgraph\"\nlanggraph = \"langgraph.json\"\n");
    // Before a process of theirs is started, which would refuse this file.
    let built = Doorward::builder().in_memory().config_file(home.path().join("app.toml")).mount("graph");
    let said = why(built).await;
    assert!(said.contains("\"graph\"") && said.contains("name another mount"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn state_that_others_can_read_is_refused_as_for_a_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a directory");
    let (state, keys) = (home.path().join("state"), home.path().join("keys"));
    for directory in [&state, &keys] {
        std::fs::create_dir(directory).expect("made");
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).expect("changed");
    }
    let key = keys.join("master.key");
    std::fs::write(&key, "8f1d0c5be2a94763b1f02d6a7c3e95084b7a61d2cf0e38956da47b12e90c5f3a")
        .expect("written");
    let builder = || Doorward::builder().sqlite(state.join("auth.db")).master_key_file(&key);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    assert!(why(builder()).await.contains("chmod 600"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("changed");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).expect("changed");
    assert!(why(builder()).await.contains("chmod 700"));
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).expect("changed");
    assert_eq!(why(builder()).await, "built");
}

#[tokio::test]
async fn a_configuration_file_may_name_the_applications_permissions() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("app.toml");
    let text = "[roles.editor]\ninherits = [\"user\"]\npermissions = [\"report:purge@any\"]\n[tokens]\naccess_ttl_s = 60\n";
    std::fs::write(&file, text).expect("written");
    let doorward = builder().config_file(&file).build().await.expect("builds");
    let (user, _) = with_key(&doorward, "edi", &["editor"], &["*"]).await;
    let subject = doorward::Subject { subject: user.as_str().to_owned(), ..doorward::Subject::default() };
    let issued = doorward.system("test").issue_token(subject).await.expect("issued");
    assert_eq!(issued.expires_in_s, 60);
    let caller = doorward.verify(issued.token.expose(), None).await.expect("good");
    assert!(caller.may::<report::Purge>().is_ok());
    // Another program, that has no such action, refuses the same file.
    let other = Doorward::builder().in_memory().config_file(&file);
    assert!(why(other).await.contains("report:purge@any"));
}

#[test]
fn the_program_of_the_page_is_the_one_of_the_crates_front_page_which_is_compiled() {
    let page = include_str!("../../../../../docs/rust-library.md");
    let (_, rest) = page.split_once("```rust\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("it ends");
    let front = include_str!("../../../src/lib.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let front: String = front.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    assert!(program.contains("async fn main()") && front.contains(program), "{front}");
}
