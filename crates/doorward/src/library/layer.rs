//! The tower layer: finds out who sends a request, before anything of the application sees it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::{IntoResponse, Response};
use doorward_core::error::{Error as Failed, codes};
use doorward_core::memory::by_thread::{Seat, Shared};
use doorward_core::operation::Origin;
use doorward_server::{Admission, Admitted, Arrival};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Extensions, Request};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::arrived::Arrived;

type AddressOf = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// The layer: [`Doorward::layer`](crate::Doorward::layer).
///
/// 1. A bad credential is refused, never taken for none; two different ones are refused.
/// 2. Without a credential the answer is 401, unless the layer is [`optional`](Self::optional).
/// 3. What a foreign page had a browser send with our cookie is refused where it changes something: by `POST` and its like whatever the
///    route, by `GET` where the handler asks leave for an action that does ([`RequirePermission`](crate::RequirePermission)). A `GET` that
///    changes something without is open to any page that links to it.
/// 4. The answer gets `X-Request-Id`; refusals of extractors and services get it in their body.
///
/// It stands before the routes that were added to the router before it. With axum's `layer` those of the fallback are among them, with
/// `route_layer` they are not.
#[derive(Clone)]
pub struct Protect {
    terms: Arc<Shared<Terms>>,
}

/// What a layer demands, and who admits.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) admission: Arc<Admission>,
    demands: bool,
    address_of: Option<AddressOf>,
}

/// Terms as a thread has them.
pub(super) type TermsHere = Arc<Seat<Terms>>;

impl Protect {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self::of(&Terms { admission, demands: true, address_of: None })
    }

    fn of(terms: &Terms) -> Self {
        Self { terms: Arc::new(Shared::new(terms)) }
    }

    fn terms(&self) -> Terms {
        Terms::clone(self.terms.this())
    }

    /// Lets requests without a credential through: handlers see `Option<Principal>`, and extractors that need somebody answer 401 themselves.
    /// Bad credentials are refused all the same.
    #[must_use]
    pub fn optional(self) -> Self {
        Self::of(&Terms { demands: false, ..self.terms() })
    }

    /// Says where the address of the connection stands. Without it addresses are in no audit line, failures are counted together, no proxy
    /// is believed, and what a limit by address is about answers 500.
    ///
    /// ```
    /// # fn f(doorward: &doorward::Doorward) -> doorward::Protect {
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    ///
    /// // Served with app.into_make_service_with_connect_info::<SocketAddr>().
    /// doorward.layer().address_of(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip()))
    /// # }
    /// ```
    #[must_use]
    pub fn address_of(self, of: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self::of(&Terms { address_of: Some(Arc::new(of)), ..self.terms() })
    }
}

impl<S> Layer<S> for Protect {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Protected<S> {
        Protected { inner, terms: Copied::Not(Arc::clone(&self.terms)) }
    }
}

/// A service under [`Protect`].
#[derive(Clone)]
pub struct Protected<S> {
    inner: S,
    terms: Copied,
}

/// The terms of a service. A router copies it for every request, and a server may copy the router for every connection; copies are of the
/// thread that makes them.
enum Copied {
    Not(Arc<Shared<Terms>>),
    Here(TermsHere),
}

impl Copied {
    fn terms(&self) -> &TermsHere {
        match self {
            Self::Not(terms) => terms.this(),
            Self::Here(terms) => terms,
        }
    }
}

impl Clone for Copied {
    fn clone(&self) -> Self {
        Self::Here(match self {
            Self::Not(terms) => terms.here(),
            Self::Here(terms) => terms.here(),
        })
    }
}

impl<S, B> Service<Request<B>> for Protected<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let terms = self.terms.terms();
        let arrival =
            terms.admission.arrival(terms.address_of.as_ref().and_then(|of| of(request.extensions())));
        // Most callers are known by a look-up. Whoever is not, such as a browser's session, may still be known without waiting; then, too, the
        // service that is ready is used where it stands, instead of a copy that waits.
        let arrival = match terms.admission.known((request.method(), request.headers()), arrival) {
            Ok((admitted, origin)) => {
                return match left_with(&mut request, terms, Ok(admitted), origin) {
                    Ok(arrived) => Answering::inner(self.inner.call(request), arrived),
                    Err(refusal) => Answering { step: Step::Refused { refusal: Some(refusal) } },
                };
            }
            Err(arrival) => arrival,
        };
        let mut found_out = Box::pin(ask(Arc::clone(terms), request, arrival));
        match found_out.as_mut().now_or_never() {
            Some(Ok((request, arrived))) => Answering::inner(self.inner.call(request), arrived),
            Some(Err(refusal)) => Answering { step: Step::Refused { refusal: Some(refusal) } },
            None => {
                // The one that is ready is the one to be used; the clone has to become ready first.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                let later = async move {
                    match found_out.await {
                        Ok((request, arrived)) => Ok(answered(&arrived, inner.call(request).await?)),
                        Err(refusal) => Ok(*refusal),
                    }
                };
                Answering { step: Step::Asking { later: Box::pin(later) } }
            }
        }
    }
}

impl<F, E> Answering<F, E> {
    fn inner(inner: F, arrived: Arc<Arrived>) -> Self {
        Self { step: Step::Inner { inner, arrived } }
    }
}

/// Who sends it, left with the request; or how it is refused.
async fn ask<B>(
    terms: TermsHere,
    request: Request<B>,
    arrival: Arrival,
) -> Result<(Request<B>, Arc<Arrived>), Box<Response>> {
    // The body is nobody's to look at, and need not be for two at once.
    let (head, body) = request.into_parts();
    let (found, origin) = terms.admission.caller((&head.method, &head.uri, &head.headers), arrival).await;
    let mut request = Request::from_parts(head, body);
    let arrived = left_with(&mut request, &terms, found, origin)?;
    Ok((request, arrived))
}

/// Leaves whoever was found to send a request with it, for extractors; or how it is refused.
fn left_with<B>(
    request: &mut Request<B>,
    terms: &TermsHere,
    found: Result<Admitted, Failed>,
    origin: Origin,
) -> Result<Arc<Arrived>, Box<Response>> {
    match found.and_then(|admitted| demanded(admitted, terms.demands)) {
        Ok(admitted) => {
            let arrived = Arc::new(Arrived::new(Arc::clone(terms), admitted, origin));
            request.extensions_mut().insert(Arc::clone(&arrived));
            Ok(arrived)
        }
        Err(error) => Err(Box::new(Arrived::refusal(&terms.admission, &error, &origin.request))),
    }
}

pin_project! {
    /// How a service under [`Protect`] comes to its answer.
    pub struct Answering<F, E> {
        #[pin]
        step: Step<F, E>,
    }
}

pin_project! {
    #[project = Now]
    enum Step<F, E> {
        Refused { refusal: Option<Box<Response>> },
        Inner { #[pin] inner: F, arrived: Arc<Arrived> },
        Asking { later: BoxFuture<'static, Result<Response, E>> },
    }
}

impl<F, R, E> Future for Answering<F, E>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            Now::Refused { refusal } => {
                Poll::Ready(Ok(*refusal.take().expect("nobody polls what has given its answer")))
            }
            Now::Inner { inner, arrived } => inner.poll(cx).map_ok(|answer| answered(arrived, answer)),
            Now::Asking { later } => later.as_mut().poll(cx),
        }
    }
}

fn answered(arrived: &Arrived, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    arrived.answered(&mut answer);
    answer
}

fn demanded(admitted: Admitted, demands: bool) -> Result<Admitted, Failed> {
    if demands && admitted.who.auth.is_anonymous() {
        return Err(Failed::new(codes::CREDENTIALS_MISSING));
    }
    Ok(admitted)
}
