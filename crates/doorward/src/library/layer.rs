//! The tower layer: finds out who sends a request, before anything of the application sees it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::{IntoResponse, Response};
use doorward_core::error::{Error as Failed, codes};
use doorward_core::operation::Call;
use doorward_server::Admission;
use futures_util::future::BoxFuture;
use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::arrived::Arrived;

type AddressOf = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// The layer: [`Doorward::layer`](crate::Doorward::layer).
///
/// 1. A bad credential is refused, never taken for none; two different ones are refused.
/// 2. Without a credential the answer is 401, unless the layer is [`optional`](Self::optional).
/// 3. What a foreign page had a browser send with our cookie is refused.
/// 4. The answer gets `X-Request-Id`; refusals of extractors and services get it in their body.
///
/// It stands before the routes that were added to the router before it. With axum's `layer` those of the fallback are among them, with
/// `route_layer` they are not.
#[derive(Clone)]
pub struct Protect {
    admission: Arc<Admission>,
    demands: bool,
    address_of: Option<AddressOf>,
}

impl Protect {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self { admission, demands: true, address_of: None }
    }

    /// Lets requests without a credential through: handlers see `Option<Principal>`, and extractors that need somebody answer 401 themselves.
    /// Bad credentials are refused all the same.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.demands = false;
        self
    }

    /// Says where the address of the connection stands. Without it addresses are in no audit line, failures are counted together, and no proxy
    /// is believed.
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
    pub fn address_of(mut self, of: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.address_of = Some(Arc::new(of));
        self
    }
}

impl<S> Layer<S> for Protect {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Protected<S> {
        Protected { inner, protect: self.clone() }
    }
}

/// A service under [`Protect`].
#[derive(Clone)]
pub struct Protected<S> {
    inner: S,
    protect: Protect,
}

impl<S, B> Service<Request<B>> for Protected<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is the one to be used; the clone has to become ready first.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let Protect { admission, demands, address_of } = self.protect.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let id = admission.request_id();
            let peer = address_of.and_then(|of| of(&head.extensions));
            let asked = admission.caller((&head.method, &head.uri, &head.headers), peer, &id).await;
            let call = match asked.and_then(|call| demanded(call, demands)) {
                Ok(call) => call,
                Err(error) => return Ok(Arrived::refusal(&admission, &error, &id)),
            };
            let arrived = Arc::new(Arrived::new(admission, call));
            head.extensions.insert(Arc::clone(&arrived));
            let answer = inner.call(Request::from_parts(head, body)).await?.into_response();
            Ok(arrived.answered(answer))
        })
    }
}

fn demanded(call: Call, demands: bool) -> Result<Call, Failed> {
    if demands && call.auth.is_anonymous() {
        return Err(Failed::new(codes::CREDENTIALS_MISSING));
    }
    Ok(call)
}
