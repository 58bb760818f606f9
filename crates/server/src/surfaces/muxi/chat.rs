//! A message to the embedded agent, and its answer. Each chat is a thread of the caller's own.

use doorward_core::agents::model::MessageRole;
use doorward_core::agents::runs::Progress;
use doorward_core::agents::threads::NewMessage;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::run;
use doorward_core::error::{Error, Result, codes};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::accounts::{API_KEY, must_name_user};
use super::fields;
use crate::conversation;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// `POST /chat`
pub(super) async fn by_user(request: Request) -> Result<Answer> {
    must_name_user(&request)?;
    say(&request).await
}

/// `POST /chat/api-key`: a key and nothing else.
pub(super) async fn by_key(request: Request) -> Result<Answer> {
    if request.call()?.auth.method != API_KEY {
        return Err(Error::new(codes::KEY_INVALID).operator("no key"));
    }
    say(&request).await
}

/// `POST /chat/jwt`: a token and nothing else.
pub(super) async fn by_token(request: Request) -> Result<Answer> {
    if request.call()?.auth.method == API_KEY {
        return Err(Error::new(codes::TOKEN_INVALID).operator("a key"));
    }
    say(&request).await
}

async fn say(request: &Request) -> Result<Answer> {
    let permit = request.permit::<run::Create>(Target::any())?;
    let text = match fields::message(request) {
        Ok(Ok(text)) => text,
        Ok(Err(answer)) => {
            let refused = permit.close::<()>(Err(Error::new(codes::BAD_FIELD)));
            return if refused.is_err() { Ok(*answer) } else { Err(Error::new(codes::INTERNAL)) };
        }
        Err(error) => return permit.close(Err(error)),
    };
    let said = NewMessage { role: MessageRole::User, content: Value::from(text), metadata: Map::new() };
    let (_, mut running) = conversation::begin(request, permit, vec![said]).await?;
    while let Some(progress) = running.progress.recv().await {
        if let Progress::Ended(_, message) = progress {
            let message = message.ok_or_else(|| Error::new(codes::UPSTREAM_INVALID))?;
            return Ok(json_answer(StatusCode::OK, &json!({ "response": message.content })));
        }
    }
    Err(Error::new(codes::INTERNAL).operator("a run ended without saying so"))
}
