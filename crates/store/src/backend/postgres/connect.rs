//! Connections: pools of them, and one for the time of opening.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use doorward_core::ports::StoreError;
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::Address;
use super::run::store_error;

/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// Statements kept prepared on one connection. Filters are spelled by callers: their number must not grow for ever.
const KEPT_STATEMENTS: usize = 256;
/// What a connection is for, and so how long the server lets one statement of it take: it must not go on for nobody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Reads, of which some walk the whole audit log.
    Reads,
    /// Writes, for which others wait.
    Writes,
}

impl Purpose {
    fn session(self) -> &'static str {
        match self {
            Self::Reads => "SET statement_timeout = '15min'; SET default_transaction_read_only = on",
            Self::Writes => "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'",
        }
    }
}

/// A connection out of a pool.
pub(super) struct Connection(Object);

impl Connection {
    pub(super) async fn of(pool: &Pool) -> Result<Self, StoreError> {
        let connection = pool.get().await.map_err(|error| unavailable(&error))?;
        if connection.statement_cache.size() > KEPT_STATEMENTS {
            connection.statement_cache.clear();
        }
        Ok(Self(connection))
    }

    /// Closes it instead of giving it back: nobody knows in what state it is.
    pub(super) fn discard(self) {
        drop(Object::take(self.0));
    }
}

impl Deref for Connection {
    type Target = deadpool_postgres::ClientWrapper;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A pool that connects when it is first asked, in the runtime of whoever asks.
pub(super) fn pool(address: &Address, size: usize, purpose: Purpose) -> Result<Pool, StoreError> {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(address.config.clone(), tls()?, config);
    let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { client.batch_execute(purpose.session()).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(size.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT * 2))
        .post_create(prepare)
        .build()
        .map_err(|error| StoreError::Unavailable(format!("no pool of connections: {error}")))
}

/// Runs `work` on a connection of its own, to its end, on a thread of its own: opening is not asynchronous.
pub(super) fn with_one<T, F>(
    address: &Address,
    work: impl FnOnce(Client) -> F + Send,
) -> Result<T, StoreError>
where
    T: Send,
    F: Future<Output = Result<T, StoreError>>,
{
    let thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Unavailable(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let tls = tls()?;
            let (client, connection) =
                address.config.connect(tls).await.map_err(|error| store_error(&error))?;
            let connection = tokio::spawn(connection);
            let done = work(client).await;
            connection.abort();
            done
        })
    };
    let done = std::thread::scope(|scope| scope.spawn(thread).join());
    done.unwrap_or_else(|_| Err(StoreError::Unavailable("opening PostgreSQL panicked".to_owned())))
}

/// Certificates are checked against the system's roots (or `SSL_CERT_FILE`), names against the address's host.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn unavailable(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => store_error(error),
        PoolError::Timeout(_) => {
            StoreError::Unavailable("no connection to PostgreSQL became free in time".to_owned())
        }
        other => StoreError::Unavailable(format!("no connection to PostgreSQL: {other}")),
    }
}
