//! What people see when they sign in to the hub: forms, questions and refusals, with one look. No rule is here: who may do what is said
//! before a page is made.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::Error;
use doorward_core::mount::SignUp;
use doorward_core::operation::Call;
use doorward_core::random;
use doorward_hub::{Approval, Fault};
use doorward_protocols::encoding::base64url_encode;
use http::StatusCode;

use super::journey::SCRIPT;
use super::login::own_path;
use super::{hub, providers, tenant};
use crate::http::page::{escaped, page};
use crate::http::respond::{Answer, PagePolicy};
use crate::request::Request;

const STYLE: &str = ":root{color-scheme:light dark;--ground:#f4f5f7;--sheet:#fff;--ink:#1c2733;--soft:#4a5866;--line:#d9dee4;\
--field:#6b7a89;--link:#1859b3;--button:#1859b3;--on-button:#fff;--bad:#b3261e;--bad-ground:#fdecea}\
@media (prefers-color-scheme:dark){:root{--ground:#12161b;--sheet:#1c222a;--ink:#e6eaee;--soft:#aab6c2;--line:#36404b;\
--field:#8896a5;--link:#8ab8ff;--button:#8ab8ff;--on-button:#10151b;--bad:#ff8a80;--bad-ground:#3a1f1d}}\
body{font:16px/1.5 system-ui,sans-serif;margin:0;background:var(--ground);color:var(--ink)}\
main{max-width:24rem;margin:8vh auto;padding:2rem;background:var(--sheet);border:1px solid var(--line);border-radius:.5rem;\
overflow-wrap:anywhere}@media (max-width:30rem){main{margin:0;border:0;padding:1.5rem;border-radius:0}}\
h1{font-size:1.4rem;margin:0 0 1rem}label{display:block;margin:.8rem 0 .2rem;font-weight:600}a{color:var(--link)}\
input{box-sizing:border-box;width:100%;padding:.55rem;font:inherit;color:inherit;background:var(--sheet);\
border:1px solid var(--field);border-radius:.3rem}\
button{margin-top:1.2rem;width:100%;padding:.65rem;font:inherit;font-weight:600;color:var(--on-button);background:var(--button);\
border:1px solid var(--button);border-radius:.3rem;cursor:pointer}\
button.second{background:none;color:var(--link);margin-top:.6rem}\
input:focus-visible,button:focus-visible,a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}\
.refused{padding:.6rem .8rem;background:var(--bad-ground);border-left:4px solid var(--bad)}dt{font-weight:600}\
dd{margin:0 0 .5rem}.note{color:var(--soft);font-size:.9rem}details{margin-top:1.5rem}summary{cursor:pointer;color:var(--link)}\
.others{margin-top:1.5rem;padding-top:.3rem;border-top:1px solid var(--line)}";

/// Closes a window that was opened for this page, and tells a page that holds it in a frame. What is loaded anew is the page to sign in,
/// wherever this one was: the address of a way back is good once.
const DONE: &str = "const {key,page}=document.currentScript.dataset;history.replaceState(null,'',page);\
if(key&&window.parent!==window){window.parent.postMessage({type:'hypha-login-complete',key},'*')}\
if(key&&window.opener){window.opener.postMessage({type:'hypha-login-complete',key},'*')}\
setTimeout(()=>window.close(),300)";

/// A page of ours with its style; with `closes`, its window is closed, and whoever opened it for that key is told.
pub(super) fn styled(
    request: &Request,
    status: StatusCode,
    title: &str,
    body: &str,
    closes: Option<&str>,
) -> Answer {
    scripted(request, status, title, body, closes.map_or(("", ""), |key| (DONE, key)))
}

/// A page of ours with its style, and perhaps a script of ours for `key`.
pub(super) fn scripted(
    request: &Request,
    status: StatusCode,
    title: &str,
    body: &str,
    (script, key): (&str, &str),
) -> Answer {
    let nonce = base64url_encode(&random::bytes::<16>(request.engine.random()));
    let mut html = format!("<style nonce=\"{nonce}\">{STYLE}</style>\n{body}");
    if let Some(host) = hub(request).ok().and_then(|hub| host_of(hub.base_url())) {
        html.push_str(&format!("<p class=\"note\">This is {}.</p>\n", escaped(&host)));
    }
    if !script.is_empty() {
        html.push_str(&format!(
            "<script nonce=\"{nonce}\" data-key=\"{}\" data-page=\"{}\">{script}</script>\n",
            escaped(key),
            escaped(&own_path(request))
        ));
    }
    let mut answer = page(status, title, &html);
    // Pages that the operator lists may show it in a frame; on any other a visitor could be led to click what they do not see.
    let listed: String = request.site.cors.origins().map(|origin| format!(" {origin}")).collect();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'self'{listed}"
    );
    answer.extensions_mut().insert(PagePolicy(policy));
    answer
}

/// The host of an address, with its port where it says one.
fn host_of(base_url: &str) -> Option<String> {
    base_url.parse::<http::Uri>().ok()?.authority().map(|authority| authority.as_str().to_owned())
}

/// What a program wants, for a person to read.
pub(super) fn wants(approval: &Approval) -> String {
    let from =
        approval.from.map_or_else(|| "this server".to_owned(), |address| address.to_canonical().to_string());
    let reach = match &approval.workspace {
        Some(workspace) => format!("the workspace <strong>{}</strong> alone", escaped(workspace)),
        None => "all of your workspaces".to_owned(),
    };
    let life = match approval.ttl_s {
        seconds if seconds >= 7_200 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} minutes", (seconds / 60).max(1)),
    };
    format!(
        "<p>A program asks to act for you. Go on only if you started it yourself.</p>\n<dl>\n<dt>Asked from</dt><dd>{}</dd>\n\
         <dt>It reaches</dt><dd>{}</dd>\n<dt>For</dt><dd>{}</dd>\n</dl>\n",
        escaped(&from),
        reach,
        escaped(&life)
    )
}

/// Why a form is there again: a sentence for people, and for programs the code and which of its reasons it is.
#[derive(Clone, Copy)]
pub(super) struct Refused<'e> {
    pub(super) text: &'e str,
    pub(super) code: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
}

/// What a form begins with: what was sent before, but for passwords, and why it is there again.
#[derive(Clone, Copy, Default)]
pub(super) struct Before<'e> {
    pub(super) refused: Option<Refused<'e>>,
    /// The person wants to be somebody else than they are where they sign in.
    pub(super) anew: bool,
    /// It was the form to sign up.
    pub(super) signing_up: bool,
    pub(super) username: &'e str,
    pub(super) email: &'e str,
}

impl<'e> Refused<'e> {
    pub(super) fn of(error: &'e Error) -> Self {
        Self { text: error.public_message(), code: Some(error.code().name), reason: error.reason() }
    }
}

/// The way back to the page with the program that waits, so that an address which is loaded or kept leads to the same.
fn action(request: &Request, key: Option<&str>) -> String {
    let path = own_path(request);
    escaped(&key.map_or_else(|| path.clone(), |key| format!("{path}?key={key}")))
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value))
}

fn why(refused: Option<Refused<'_>>) -> String {
    let Some(Refused { text, code, reason }) = refused else { return String::new() };
    let marked = |name: &str, value: Option<&str>| {
        value.map_or_else(String::new, |value| format!(" data-{name}=\"{}\"", escaped(value)))
    };
    let marks = format!("{}{}", marked("code", code), marked("reason", reason));
    format!("<p class=\"refused\" role=\"alert\"{marks}>{}</p>\n", escaped(text))
}

/// The page to sign in, and to sign up where people may. What a button does to a program that waits stands on it.
pub(super) fn form(
    request: &Request,
    waiting: Option<(&str, &Approval)>,
    before: Before<'_>,
    status: StatusCode,
) -> Answer {
    if let Some(tenant) = tenant::of(request) {
        let text = before.refused.map(|refused| refused.text);
        return tenant::form(request, tenant, waiting, (text, before.anew), status);
    }
    let path = action(request, waiting.map(|(key, _)| key));
    let key = waiting.map_or_else(String::new, |(key, _)| hidden("key", key));
    let allow = if waiting.is_some() { " and allow" } else { "" };
    let mut body = waiting.map_or_else(String::new, |(_, approval)| wants(approval));
    let Before { refused, anew, signing_up, username, email } = before;
    // The form that was sent is where the person goes on.
    let of = |this: bool| match this {
        true => (why(refused), escaped(username), " autofocus"),
        false => (String::new(), String::new(), ""),
    };
    let (said, name, focus) = of(!signing_up);
    body.push_str(&format!(
        "{said}<form method=\"post\" action=\"{path}\">\n{key}\
         <label for=\"username\">Name or e-mail</label>\n\
         <input id=\"username\" name=\"username\" value=\"{name}\" autocomplete=\"username\" autocapitalize=\"none\" required{focus}>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\n\
         <button name=\"act\" value=\"sign-in\">Sign in{allow}</button>\n</form>\n"
    ));
    if request.site.mount.sign_up == SignUp::Open {
        let (said, name, focus) = of(signing_up);
        let open = if signing_up { " open" } else { "" };
        let email = escaped(email);
        body.push_str(&format!(
            "<details{open}>\n<summary>No account yet?</summary>\n{said}<form method=\"post\" action=\"{path}\">\n{key}\
             <label for=\"new-username\">Name</label>\n\
             <input id=\"new-username\" name=\"username\" value=\"{name}\" autocomplete=\"username\" autocapitalize=\"none\" required{focus}>\n\
             <label for=\"new-email\">E-mail (may stay empty)</label>\n\
             <input id=\"new-email\" name=\"email\" type=\"email\" value=\"{email}\" autocomplete=\"email\">\n\
             <label for=\"new-password\">Password</label>\n\
             <input id=\"new-password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required>\n\
             <button name=\"act\" value=\"sign-up\">Make an account{allow}</button>\n</form>\n</details>\n"
        ));
    }
    if !providers::any(request) {
        return styled(request, status, "Sign in", &body, None);
    }
    let buttons = providers::buttons(request, &key, allow, anew);
    body.push_str(&format!("<div class=\"others\">\n{buttons}</div>\n"));
    scripted(request, status, "Sign in", &body, (SCRIPT, ""))
}

/// Who is signed in, as they know themselves: by name, and by how others call them where that differs.
async fn name_of(request: &Request, call: &Call) -> String {
    let owner = call.auth.principal.owner_key();
    let Some(id) = call.auth.principal.user_id() else {
        let email = call.auth.claims.get("email").and_then(|email| email.as_str());
        return email.unwrap_or(&call.auth.principal.subject).to_owned();
    };
    let Ok(permit) = call.permit::<user::Read>(Target::owned(id.as_str(), &owner)) else {
        return String::new();
    };
    let Ok(found) = request.engine.users().get(permit, &id).await else { return String::new() };
    let called = found.username.or(found.email).unwrap_or_else(|| id.as_str().to_owned());
    match found.display_name.filter(|name| !name.is_empty() && *name != called) {
        Some(name) => format!("{name} ({called})"),
        None => called,
    }
}

/// Who is signed in, for a page: what people call themselves does not order what stands around it.
async fn signed_in_as(request: &Request, call: &Call) -> String {
    let name = name_of(request, call).await;
    format!("<p>You are signed in as <strong><bdi>{}</bdi></strong>.</p>\n", escaped(&name))
}

const OTHER: &str = "<button class=\"second\" name=\"act\" value=\"other\">Use another account</button>\n";

/// Asks whoever is signed in whether a program may act for them.
pub(super) async fn ask(request: &Request, key: &str, approval: &Approval, call: &Call) -> Answer {
    let body = format!(
        "{}{}<form method=\"post\" action=\"{}\">\n{}<button name=\"act\" value=\"allow\">Allow</button>\n\
         <button class=\"second\" name=\"act\" value=\"refuse\">Do not allow</button>\n{OTHER}</form>\n",
        wants(approval),
        signed_in_as(request, call).await,
        action(request, Some(key)),
        hidden("key", key),
    );
    styled(request, StatusCode::OK, "Let a program in?", &body, None)
}

/// The program was let in.
pub(super) fn allowed(request: &Request, key: &str) -> Answer {
    let body = "<p>Done. The program can go on; you can close this window.</p>\n";
    styled(request, StatusCode::OK, "Signed in", body, Some(key))
}

/// The person does not want the program in.
pub(super) fn turned_away(request: &Request) -> Answer {
    let body = "<p>The program was not let in, and has been told so. You can close this window.</p>\n";
    styled(request, StatusCode::OK, "Not allowed", body, Some(""))
}

/// The program may not be let in by this person, who may be somebody else too.
pub(super) fn not_let_in(request: &Request, key: &str, fault: &Fault) -> Answer {
    let body = format!(
        "<p class=\"refused\" role=\"alert\">{}</p>\n<form method=\"post\" action=\"{}\">\n{}{OTHER}</form>\n",
        escaped(&fault.message),
        action(request, Some(key)),
        hidden("key", key),
    );
    styled(request, super::fault::status(fault), "The program was not let in", &body, None)
}

/// Somebody is signed in, and nothing waits.
pub(super) async fn stays(request: &Request, call: &Call) -> Answer {
    let path = escaped(&own_path(request));
    let body =
        format!("{}<p><a href=\"{path}?logout=true\">Sign out</a></p>\n", signed_in_as(request, call).await);
    styled(request, StatusCode::OK, "Signed in", &body, None)
}

/// Asks whoever a page of another site sent here whether they want to leave: nobody is signed out by a link that they followed.
pub(super) fn ask_to_leave(request: &Request, close: bool) -> Answer {
    let path = escaped(&own_path(request));
    let close = if close { hidden("close", "true") } else { String::new() };
    let body = format!(
        "<p>A page of another site sent you here to sign out. The programs that you let in from this browser are signed out too.</p>\n\
         <form method=\"post\" action=\"{path}\">\n{close}<button name=\"act\" value=\"sign-out\">Sign out</button>\n</form>\n\
         <p><a href=\"{path}\">Stay signed in</a></p>\n"
    );
    styled(request, StatusCode::OK, "Sign out?", &body, None)
}

/// Nobody is signed in any more.
pub(super) fn signed_out(request: &Request, close: bool) -> Answer {
    let body = format!(
        "<p>You are signed out here, and so are the programs that you let in from this browser.</p>\n\
         <p><a href=\"{}\">Sign in</a></p>\n",
        escaped(&own_path(request))
    );
    styled(request, StatusCode::OK, "Signed out", &body, close.then_some(""))
}

/// A link of a program that leads nowhere.
pub(super) fn of_no_use(request: &Request, fault: &Fault) -> Answer {
    let text = match fault.class {
        "AssertionError" => "This link was used already, or is too old.",
        _ => &fault.message,
    };
    let body = format!(
        "<p class=\"refused\" role=\"alert\">{}</p>\n<p>Start again in the program that gave it to you.</p>\n",
        escaped(text)
    );
    styled(request, super::fault::status(fault), "This link does not work", &body, None)
}
