//! A request under the layer: who sent it, and the leave that its handler was given.

use std::sync::OnceLock;

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
use super::layer::TermsHere;

/// What the layer leaves with a request for its extractors.
pub(super) struct Arrived {
    terms: TermsHere,
    admitted: Admitted,
    origin: Origin,
    /// Made when it is asked for: most handlers want to know no more than that somebody was let in.
    call: OnceLock<Box<Call>>,
    leave: Mutex<Leave>,
}

/// What extractors asked leave for.
#[derive(Default)]
struct Leave {
    answered: bool,
    /// Absent until one asks.
    asked: Option<Box<Asked>>,
}

#[derive(Default)]
struct Asked {
    counted: Vec<&'static ActionDef>,
    /// What was given and used, and whose line waits for the answer.
    used: Vec<Grant>,
}

impl Arrived {
    pub(super) fn new(terms: TermsHere, admitted: Admitted, origin: Origin) -> Self {
        Self { terms, admitted, origin, call: OnceLock::new(), leave: Mutex::default() }
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
        self.call.get().map_or_else(|| self.made(), |call| (**call).clone())
    }

    fn made(&self) -> Call {
        self.admission().call(&self.admitted.who, self.origin.clone())
    }

    pub(super) fn call(&self) -> &Call {
        self.call.get_or_init(|| Box::new(self.made()))
    }

    /// Counts the request by the operator's limits, each of them once however many extractors ask for what it is about.
    pub(super) async fn count(&self, action: &'static ActionDef) -> Result<(), Failed> {
        let earlier = self.leave.lock().asked.as_ref().map_or_else(Vec::new, |asked| asked.counted.clone());
        self.admission().count(self.call(), action, &earlier).await?;
        self.leave.lock().asked.get_or_insert_default().counted.push(action);
        Ok(())
    }

    /// Refuses what a foreign page had a browser send, where it is about to change something.
    pub(super) fn changes(&self, (method, headers): (&Method, &HeaderMap)) -> Result<(), Failed> {
        self.admission().changes((&self.admitted, self.call()), method, headers)
    }

    /// Takes leave that was used: its line in the audit log says how the request was answered. What is still used while the answer goes out
    /// was used well.
    pub(super) fn used(&self, grant: Grant) {
        let mut leave = self.leave.lock();
        if leave.answered {
            drop(leave);
            let _ = grant.close(Ok(()));
        } else {
            leave.asked.get_or_insert_default().used.push(grant);
        }
    }

    /// The answer on its way out: refusals of ours get the request's id and are logged, and the lines of what was done are written.
    pub(super) fn answered(&self, answer: &mut Response) {
        let refused = answer.extensions_mut().remove::<Refused>();
        let grants = {
            let mut leave = self.leave.lock();
            leave.answered = true;
            leave.asked.as_mut().map_or_else(Vec::new, |asked| std::mem::take(&mut asked.used))
        };
        let is_ours = refused.is_some();
        if is_ours || !grants.is_empty() {
            self.close(answer, refused.as_ref(), grants);
        }
        self.stamp(answer, is_ours);
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

    /// What we refuse names the request already.
    fn stamp(&self, answer: &mut Response, is_ours: bool) {
        if !is_ours && let Ok(value) = HeaderValue::from_bytes(self.id().as_bytes()) {
            named_unless_it_is(answer.headers_mut(), value);
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

/// Names the request where the application does not do so itself. Nearly none does, and to look first would take twice as long.
fn named_unless_it_is(headers: &mut HeaderMap, id: HeaderValue) {
    // By value: a copy of a name that is no standard one costs more than the name.
    const NAME: HeaderName = HeaderName::from_static("x-request-id");
    if headers.append(NAME, id) {
        let theirs = headers.get_all(NAME).iter().count() - 1;
        let theirs: Vec<_> = headers.get_all(NAME).iter().take(theirs).cloned().collect();
        headers.remove(NAME);
        for value in theirs {
            headers.append(NAME, value);
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
