//! What a server says when it is ready: commands that work when they are pasted.

use std::collections::BTreeMap;

use doorward_core::identity::project_keys::ProjectKeys;

use crate::config::Config;

/// Takes a member out of a JSON answer with what every machine has.
fn pick(member: &str) -> String {
    format!(r#"sed -E 's/.*"{member}": ?"([^"]+)".*/\1/'"#)
}

/// What `dev` prints. The commands are tested as they stand.
#[must_use]
pub(crate) fn dev(
    config: &Config,
    url: &str,
    mounts: &BTreeMap<String, String>,
    supabase: Option<(&str, &ProjectKeys)>,
) -> String {
    let list: String = mounts.iter().map(|(name, address)| format!("  {name:<10} {address}\n")).collect();
    let supabase = supabase.map(|(at, keys)| self::supabase(config, url, at, keys)).unwrap_or_default();
    let (token, id) = (pick("access_token"), pick("id"));
    format!(
        r#"doorward dev is ready, for this machine alone (loopback). Data: {data}

{list}
Try it; every line can be pasted:

URL={url}
JSON='Content-Type: application/json'

# 1. sign up
curl -s $URL/v1/users -H "$JSON" -d '{{"username":"ada","password":"correct horse battery 1"}}'
# 2. get a token
TOKEN=$(curl -s $URL/v1/token -H "$JSON" -d '{{"grant_type":"password","username":"ada","password":"correct horse battery 1"}}' | {token})
# 3. create a thread
THREAD=$(curl -s $URL/v1/threads -H "$JSON" -H "Authorization: Bearer $TOKEN" -d '{{}}' | {id})
# 4. talk to the agent
curl -s $URL/v1/threads/$THREAD/messages -H "$JSON" -H "Authorization: Bearer $TOKEN" -d '{{"role":"user","content":"Hello, agent"}}'
curl -sN $URL/v1/threads/$THREAD/runs -H "$JSON" -H "Authorization: Bearer $TOKEN" -H 'Accept: text/event-stream' -d '{{}}'
# 5. be refused without a token (401)
curl -s -w ' %{{http_code}}\n' $URL/v1/threads/$THREAD
# 6. somebody else is told "not found" (404)
curl -s $URL/v1/users -H "$JSON" -d '{{"username":"bob","password":"another fine password 2"}}'
OTHER=$(curl -s $URL/v1/token -H "$JSON" -d '{{"grant_type":"password","username":"bob","password":"another fine password 2"}}' | {token})
curl -s -w ' %{{http_code}}\n' $URL/v1/threads/$THREAD -H "Authorization: Bearer $OTHER"

{supabase}Stop with Ctrl-C. With --ready-file PATH the administrator's key is written there."#,
        data = config.store.place(),
    )
}

/// What clients of Supabase put into their environment.
fn supabase(config: &Config, url: &str, at: &str, keys: &ProjectKeys) -> String {
    let mails = match config.mail.host {
        Some(_) => String::new(),
        None => format!("# letters are kept here, links and all: {url}/_mail\n"),
    };
    format!(
        "# for Supabase's clients, such as LangGraph's tutorial\n\
         SUPABASE_URL={at}\nSUPABASE_ANON_KEY={}\nSUPABASE_SERVICE_KEY={}\n{mails}\n",
        keys.anon.expose(),
        keys.service.expose(),
    )
}

/// How the first administrator is made, once. The secret is good for an hour and for one use.
#[must_use]
pub(crate) fn setup(url: &str, secret: &str) -> String {
    format!(
        r#"There is no administrator yet. Make the first one from this machine within an hour:

curl -sS {url}/v1/setup -H 'Content-Type: application/json' \
  -d '{{"username": "admin", "password": "CHOOSE-ONE", "secret": "{secret}"}}'

This secret is shown once and works once; a restart makes a new one."#
    )
}
