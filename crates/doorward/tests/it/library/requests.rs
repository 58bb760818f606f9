//! The layer: who is let in, and how everybody else is answered.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get as on_get, post};
use doorward::{
    Doorward, Login, NewUser, Principal, RequirePermission, RequireRole, Revoked, SecretText, Target, roles,
};
use http::Request;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::{code, embedded, get, report, send, with_key};

async fn me(principal: Principal) -> String {
    principal.owner_key()
}

async fn perhaps(principal: Option<Principal>) -> String {
    principal.map_or_else(|| "nobody".to_owned(), |principal| principal.owner_key())
}

async fn silent() -> &'static str {
    "ran"
}

fn app(doorward: &Doorward) -> Router {
    Router::new().route("/me", on_get(me)).route("/silent", post(silent).get(silent)).layer(doorward.layer())
}

#[tokio::test]
async fn a_route_under_the_layer_is_for_callers_that_are_known_whether_it_asks_or_not() {
    let doorward = embedded().await;
    let (ann, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let app = app(&doorward);
    for path in ["/me", "/silent"] {
        let refused = get(&app, path, "").await;
        assert_eq!(refused.is(), code(401, "credentials_missing"), "{path}");
        assert_eq!(refused.headers[WWW_AUTHENTICATE], "Bearer realm=\"doorward\"");
        let id = refused.problem()["request_id"].as_str().map(str::to_owned).expect("an id");
        assert!(id.starts_with("req_") && refused.headers["x-request-id"] == *id, "{id}");
    }
    let answered = get(&app, "/me", &key).await;
    assert_eq!((answered.status.as_u16(), answered.body), (200, format!("local|{ann}")));
    assert!(answered.headers.contains_key("x-request-id"));
    assert_eq!(get(&app, "/silent", &key).await.body, "ran");
}

#[tokio::test]
async fn a_bad_credential_is_never_taken_for_none() {
    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let optional = Router::new().route("/", on_get(perhaps)).layer(doorward.layer().optional());
    let long = "x".repeat(20_000);
    for (name, credential, expected) in [
        ("no token", "nonsense", code(401, "token_invalid")),
        (
            "a key of nobody's",
            "dw_user_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            code(401, "api_key_invalid"),
        ),
        ("too long", &long, code(400, "bad_header")),
    ] {
        for (app, path) in [(&app(&doorward), "/me"), (&optional, "/")] {
            let answered = get(app, path, credential).await;
            assert_eq!(answered.is(), expected, "{name} at {path}");
            assert!(!answered.body.contains(credential), "{name}: a credential is shown");
        }
    }
    assert_eq!(get(&optional, "/", "").await.body, "nobody");
    assert!(get(&optional, "/", &key).await.body.starts_with("local|usr_"));
    let two = Request::builder()
        .uri("/")
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .header("x-api-key", "other");
    let answered = send(&optional, two.body(Body::empty()).expect("a request")).await;
    assert_eq!(answered.is(), code(400, "bad_header"));
}

#[tokio::test]
async fn nobody_in_particular_is_told_to_come_back_with_a_credential_where_leave_is_needed() {
    async fn reports(_: RequirePermission<report::Read>) -> &'static str {
        "ran"
    }
    let doorward = embedded().await;
    let app =
        Router::new().route("/", on_get(reports)).route("/me", on_get(me)).layer(doorward.layer().optional());
    for path in ["/", "/me"] {
        assert_eq!(get(&app, path, "").await.is(), code(401, "credentials_missing"), "{path}");
    }
}

#[tokio::test]
async fn an_extractor_without_the_layer_lets_nobody_in_and_is_never_anonymous() {
    async fn leave(_: RequirePermission<report::Read>) -> &'static str {
        "ran"
    }
    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["admin"], &["*"]).await;
    // The routes come after the layer, so it does not stand before them.
    let app = Router::new().layer(doorward.layer());
    let app = app.route("/me", on_get(me)).route("/perhaps", on_get(perhaps)).route("/leave", on_get(leave));
    for path in ["/me", "/perhaps", "/leave"] {
        for credential in ["", &key] {
            let answered = get(&app, path, credential).await;
            assert_eq!(answered.is(), code(500, "internal"), "{path}");
            assert!(!answered.body.contains("layer"), "what is wrong is for the log: {}", answered.body);
        }
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_is_refused_with_the_next_request() {
    let doorward = embedded().await;
    let (ann, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let app = app(&doorward);
    assert_eq!(get(&app, "/me", &key).await.status.as_u16(), 200);
    let caller = doorward.verify(&key, None).await.expect("good");
    let mut leave = caller.leave().expect("good");
    doorward.system("test").revoke(Revoked::Principal(format!("local|{ann}"))).await.expect("revoked");
    assert_eq!(get(&app, "/me", &key).await.is(), code(401, "api_key_revoked"));
    // What is still being answered ends.
    leave.ended().await;
    assert_eq!(caller.leave().err().map(|error| error.code()), Some("token_revoked"));
}

#[tokio::test]
async fn what_a_foreign_page_sends_with_nothing_but_a_browser_is_refused_where_it_changes_something() {
    let doorward = embedded().await;
    let open = Router::new().route("/silent", post(silent)).layer(doorward.layer().optional());
    let from = |site: &str| {
        let request = Request::builder().method("POST").uri("/silent").header("sec-fetch-site", site);
        request.body(Body::empty()).expect("a request")
    };
    assert_eq!(send(&open, from("cross-site")).await.is(), code(403, "cross_site"));
    assert_eq!(send(&open, from("same-origin")).await.body, "ran");
}

/// What a browser says of a page that it shows for a link on a page from there.
fn led_from(site: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_by_a_link_that_a_browser_follows_with_our_cookie() {
    let doorward = embedded().await;
    let password = "correct horse battery staple 7";
    let new = NewUser {
        username: Some("ann".into()),
        password: Some(SecretText::new(password.into())),
        roles: vec!["user".into()],
        ..NewUser::default()
    };
    doorward.system("test").create_user(new).await.expect("made");
    let permit = doorward.nobody(None).await.and_then(|nobody| nobody.permit(Target::any())).expect("may");
    let login = Login {
        login: "ann".into(),
        password: password.into(),
        client: None,
        scope: None,
        source: None,
        device: None,
    };
    let stay = doorward.engine().sessions().login_browser(permit, login).await.expect("logs in");
    let cookie = format!("__Host-doorward-session={}", stay.cookie.expose());
    let app = Router::new()
        .route("/read", on_get(async |_: RequirePermission<report::Read>| "ran"))
        .route(
            "/create",
            on_get(async |_: RequirePermission<report::Create>| "ran")
                .post(async |_: RequirePermission<report::Create>| "ran"),
        )
        .route("/role", on_get(async |_: RequireRole<roles::User>| "ran"))
        .layer(doorward.layer().optional());
    let token = ("x-csrf-token", stay.csrf_token.as_str());
    let (host, origin) = (("host", "app.example"), ("origin", "https://app.example"));
    let own = |mode, dest| {
        vec![("sec-fetch-site", "same-origin"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
    };
    let with = |mut said: Vec<_>, more| {
        said.push(more);
        said
    };
    let refused = || code(403, "cross_site");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (name, method, path, said, expected) in [
        ("another site's link", "GET", "/create", led_from("cross-site"), refused()),
        ("a sibling's link", "GET", "/create", led_from("same-site"), refused()),
        (
            "an address that somebody typed, and what it leads to",
            "GET",
            "/create",
            led_from("none"),
            refused(),
        ),
        ("nothing is said", "GET", "/create", vec![], refused()),
        ("an image on a page of ours", "GET", "/create", own("no-cors", "image"), refused()),
        ("a script of ours without the token", "GET", "/create", own("cors", "empty"), refused()),
        ("a foreign script with the token", "GET", "/create", with(led_from("cross-site"), token), refused()),
        ("a script of ours", "GET", "/create", with(own("cors", "empty"), token), code(200, "")),
        ("a link of ours", "GET", "/create", led_from("same-origin"), code(200, "")),
        ("a browser that names the origin alone", "GET", "/create", vec![host, origin, token], code(200, "")),
        (
            "a form of ours",
            "POST",
            "/create",
            vec![host, origin, token, form],
            code(415, "unsupported_media_type"),
        ),
        ("another site's link to what is read", "GET", "/read", led_from("cross-site"), code(200, "")),
        ("a role says nothing of what is done", "GET", "/role", led_from("cross-site"), code(200, "")),
    ] {
        let mut request = Request::builder().method(method).uri(path).header("cookie", &cookie);
        for (header, value) in said {
            request = request.header(header, value);
        }
        let answered = send(&app, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answered.is(), expected, "{name}");
    }
    let (_, key) = with_key(&doorward, "bob", &["user"], &["*"]).await;
    let key = format!("Bearer {key}");
    for (name, credential, expected) in [
        ("a key is sent by no browser by itself", Some(&key), code(200, "")),
        ("nobody has to come back with a credential", None, code(401, "credentials_missing")),
    ] {
        let mut request = Request::builder().uri("/create").header("sec-fetch-site", "cross-site");
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, credential);
        }
        let answered = send(&app, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answered.is(), expected, "{name}");
    }
}

#[tokio::test]
async fn the_clients_address_is_the_connections_unless_a_trusted_proxy_says_another() {
    async fn from(principal: Principal) -> String {
        principal.call().origin.address.map(|address| address.to_string()).unwrap_or_default()
    }
    let doorward =
        super::builder().setting("server.trusted_proxies", "10.0.0.0/8").build().await.expect("builds");
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let layer = doorward.layer().address_of(|extensions| {
        extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip())
    });
    let told = Router::new().route("/", on_get(from)).layer(layer);
    let untold = Router::new().route("/", on_get(from)).layer(doorward.layer());
    let cases =
        [(&told, "10.1.2.3", "198.51.100.7"), (&told, "192.0.2.1", "192.0.2.1"), (&untold, "10.1.2.3", "")];
    // The second time memory knows the key.
    for (app, peer, expected) in cases.into_iter().chain(cases) {
        let request = Request::builder().uri("/").header(AUTHORIZATION, format!("Bearer {key}"));
        let mut request =
            request.header("x-forwarded-for", "198.51.100.7").body(Body::empty()).expect("a request");
        let peer: IpAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
        assert_eq!(send(app, request).await.body, expected, "{peer}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_headers_that_the_application_put_on_it() {
    async fn refused(_: Principal) -> ([(&'static str, &'static str); 2], doorward::Error) {
        ([("set-cookie", "seen=1"), ("content-language", "de")], doorward::Error::forbidden())
    }
    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let app = Router::new().route("/", on_get(refused)).layer(doorward.layer());
    let answered = get(&app, "/", &key).await;
    assert_eq!(answered.is(), code(403, "forbidden"));
    assert_eq!(answered.headers["set-cookie"], "seen=1");
    assert!(!answered.headers.contains_key("content-language"), "it spoke of another body");
    assert_eq!(answered.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_header_that_is_nearly_that_of_somebody_known_is_read_as_a_whole() {
    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let app = app(&doorward);
    for _ in 0..5 {
        assert_eq!(get(&app, "/me", &key).await.status, 200);
    }
    let long = format!("Bearer {key}{}", "a".repeat(20_000));
    for (name, value, expected) in [
        ("another spelling of the scheme", format!("bearer {key}"), (200, "")),
        ("more spaces", format!("Bearer   {key}  "), (200, "")),
        ("another scheme", format!("ApiKey {key}"), (200, "")),
        ("more spaces beside the same key", format!("Bearer  {key} "), (200, "beside")),
        ("two words", format!("Bearer {key} x"), (401, "token_invalid")),
        ("a comma behind it", format!("Bearer {key},"), (401, "token_invalid")),
        ("a scheme alone", "Bearer ".to_owned(), (401, "token_invalid")),
        ("no ASCII", format!("Bearer {key}é"), (400, "bad_header")),
        ("too long", long, (400, "bad_header")),
    ] {
        let mut request = Request::builder().uri("/me").header(AUTHORIZATION, value);
        let (status, mut problem) = expected;
        if problem == "beside" {
            (request, problem) = (request.header("x-api-key", &key), "");
        }
        let answered = send(&app, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answered.is(), code(status, problem), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_all_threads_are_told_apart_and_so_are_their_requests() {
    let doorward = embedded().await;
    let mut people = Vec::new();
    for name in ["ann", "bob", "eve"] {
        people.push(with_key(&doorward, name, &["user"], &["*"]).await);
    }
    // A router with a state holds ready services in place of handlers, and each connection's copy of it copies them.
    let stated = |app: Router<u8>| app.with_state(7_u8);
    let app = stated(Router::new().route("/me", on_get(me)).layer(doorward.layer()));
    let nobody = stated(Router::new().route("/me", on_get(perhaps)).layer(doorward.layer().optional()));
    let asking: Vec<_> = (0..60)
        .map(|at| {
            let ((user, key), app) = (people[at % 3].clone(), app.clone());
            let nobody = nobody.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for _ in 0..20 {
                    let [app, nobody] = [&app, &nobody].map(|app| app.clone().with_state(()));
                    assert_eq!(get(&nobody, "/me", "").await.body, "nobody");
                    assert_eq!(get(&app, "/me", "").await.is(), code(401, "credentials_missing"));
                    let answered = get(&app, "/me", &key).await;
                    assert_eq!(answered.body, format!("local|{user}"));
                    ids.push(answered.headers["x-request-id"].clone());
                }
                ids
            })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    for one in asking {
        ids.extend(one.await.expect("it ends"));
    }
    assert_eq!(ids.len(), 60 * 20);
}

#[tokio::test]
async fn an_application_may_name_a_request_itself() {
    use axum::response::AppendHeaders;

    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let app = Router::new()
        .route("/once", on_get(async || (AppendHeaders([("x-request-id", "a")]), "ran")))
        .route(
            "/twice",
            on_get(async || (AppendHeaders([("x-request-id", "a"), ("x-request-id", "b")]), "ran")),
        )
        .layer(doorward.layer());
    for (path, expected) in [("/once", &["a"][..]), ("/twice", &["a", "b"])] {
        let answered = get(&app, path, &key).await;
        assert_eq!(answered.headers.get_all("x-request-id").iter().collect::<Vec<_>>(), expected, "{path}");
    }
}
