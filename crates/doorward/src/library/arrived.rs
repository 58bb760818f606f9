//! A request under the layer: who sent it, and the leave that its handler was given.

use std::sync::{Arc, OnceLock};

use axum_core::response::{IntoResponse, Response};
use doorward_core::authz::catalogue::ActionDef;
use doorward_core::error::{Error as Failed, Kind, codes};
use doorward_core::id::RequestId;
use doorward_core::operation::{Call, Grant, Origin};
use doorward_core::principal::AuthContext;
use doorward_server::{Admission, Admitted};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;

use super::error::{Refused, from_bytes};
use super::layer::Terms;

/// What the layer leaves with a request for its extractors.
pub(super) struct Arrived {
    terms: Arc<Terms>,
    admitted: Admitted,
    origin: Origin,
    /// Made when it is asked for: most handlers want to know no more than that somebody was let in.
    call: OnceLock<Call>,
    open: Mutex<Open>,
    /// What extractors asked leave for so far.
    counted: Mutex<Vec<&'static ActionDef>>,
}

/// Leave that extractors were given and whose line waits for the answer.
enum Open {
    Answering(Vec<Grant>),
    Answered,
}

impl Arrived {
    pub(super) fn new(terms: Arc<Terms>, admitted: Admitted, origin: Origin) -> Self {
        let (open, counted) = (Mutex::new(Open::Answering(Vec::new())), Mutex::default());
        Self { terms, admitted, origin, call: OnceLock::new(), open, counted }
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.terms.admission
    }

    fn id(&self) -> &RequestId {
        &self.origin.request
    }

    pub(super) fn auth(&self) -> &AuthContext {
        &self.admitted.who.auth
    }

    /// As [`Arrived::call`], for whoever keeps it: nearly always nobody else asks.
    pub(super) fn own_call(&self) -> Call {
        self.call.get().cloned().unwrap_or_else(|| self.made())
    }

    fn made(&self) -> Call {
        self.admission().call(&self.admitted.who, self.origin.clone())
    }

    pub(super) fn call(&self) -> &Call {
        self.call.get_or_init(|| self.made())
    }

    /// Counts the request by the operator's limits, each of them once however many extractors ask for what it is about.
    pub(super) async fn count(&self, action: &'static ActionDef) -> Result<(), Failed> {
        let earlier = self.counted.lock().clone();
        self.admission().count(self.call(), action, &earlier).await?;
        self.counted.lock().push(action);
        Ok(())
    }

    /// Refuses what a foreign page had a browser send, where it is about to change something.
    pub(super) fn changes(&self, (method, headers): (&Method, &HeaderMap)) -> Result<(), Failed> {
        self.admission().changes((&self.admitted, self.call()), method, headers)
    }

    /// Takes leave that was used: its line in the audit log says how the request was answered. What is still used while the answer goes out
    /// was used well.
    pub(super) fn used(&self, grant: Grant) {
        let mut open = self.open.lock();
        match &mut *open {
            Open::Answering(grants) => grants.push(grant),
            Open::Answered => {
                drop(open);
                let _ = grant.close(Ok(()));
            }
        }
    }

    /// The answer on its way out: refusals of ours get the request's id and are logged, and the lines of what was done are written.
    pub(super) fn answered(&self, answer: &mut Response) {
        let refused = answer.extensions_mut().remove::<Refused>();
        let grants = match std::mem::replace(&mut *self.open.lock(), Open::Answered) {
            Open::Answering(grants) => grants,
            Open::Answered => Vec::new(),
        };
        if refused.is_some() || !grants.is_empty() {
            self.close(answer, refused.as_ref(), grants);
        }
        self.stamp(answer);
    }

    fn close(&self, answer: &mut Response, refused: Option<&Refused>, grants: Vec<Grant>) {
        if let Some(refused) = refused {
            let whole = from_bytes(self.admission().answer(&refused.0, self.id()));
            *answer = with_headers_of(whole, answer.headers());
        }
        for grant in grants {
            let _ = grant.close(outcome(answer.status(), refused));
        }
    }

    /// An error that the layer answers itself.
    pub(super) fn refusal(admission: &Admission, error: &Failed, id: &RequestId) -> Response {
        from_bytes(admission.answer(error, id)).into_response()
    }

    fn stamp(&self, answer: &mut Response) {
        if let Ok(value) = HeaderValue::from_bytes(self.id().as_bytes()) {
            // By value: a copy of a name that is no standard one costs more than the name.
            answer.headers_mut().entry(const { HeaderName::from_static("x-request-id") }).or_insert(value);
        }
        for (name, value) in &self.auth().answer_headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            {
                answer.headers_mut().append(name, value);
            }
        }
    }
}

/// Keeps what others put on an answer, but for what describes the body that it had: cookies, and what lets pages read it.
fn with_headers_of(mut answer: Response, before: &HeaderMap) -> Response {
    for name in before.keys().filter(|name| !name.as_str().starts_with("content-")) {
        if !answer.headers().contains_key(name) {
            for value in before.get_all(name) {
                answer.headers_mut().append(name, value.clone());
            }
        }
    }
    answer
}

/// What the audit log says of leave by how the request was answered: by the code of a refusal of ours, else by the status.
fn outcome(status: StatusCode, refused: Option<&Refused>) -> Result<(), Failed> {
    if let Some(Refused(error)) = refused {
        return Err(Failed::new(error.code()));
    }
    match status.as_u16() {
        ..=399 => Ok(()),
        401 => Err(Failed::new(codes::CREDENTIALS_MISSING)),
        403 => Err(Failed::new(codes::FORBIDDEN)),
        404 => Err(Failed::new(codes::NOT_FOUND)),
        status if status < Kind::Internal.status() => Err(Failed::new(codes::BAD_REQUEST)),
        _ => Err(Failed::new(codes::INTERNAL)),
    }
}
