//! Opens connections to Redis, and finds out whether Redis is one server or a cluster. `connections` and
//! `subscriber` replace connections that fail.

use std::{fs, time::Duration};

use deadpool_redis::{Manager, Pool};
use forebay_shared::backoff::Backoff;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, RedisError, RedisResult, TlsCertificates,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cmd,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::time::timeout;

use super::{
    server_setup::ServerSetup,
    settings::{ConnectError, RedisSettings, UnsuitableServer},
    shared_connection::RedisConnection,
};

/// The timeout of a reply. The client's default is 500 ms. A command that times out may still run, so every call
/// of the trait `Store` is safe to repeat.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The timeout of a reply on a connection for large commands and large replies.
const BULK_RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout of a TCP connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The timeout of all steps of a connect together: TCP, TLS and the first commands.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// The interval of TCP keepalive probes on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long sent data may stay unacknowledged before the connection counts as lost (TCP_USER_TIMEOUT).
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// How many times the cluster client retries a command.
const CLUSTER_RETRIES: u32 = 3;
/// The shortest and the longest delay between two such retries.
const CLUSTER_RETRY_DELAY_MS: (u64, u64) = (20, 200);

/// How many connections carry the commands to one server. Each carries many commands at once. Two connections are
/// faster than one. A third connection gains nothing.
pub(super) const CONNECTIONS: usize = 2;

/// The delays between attempts to connect to a server.
pub(super) const RECONNECT: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// The kind of server behind the URL.
pub(super) enum RedisServer {
    /// One server.
    Single(Pool),
    /// A Redis Cluster. Its client has its own connections to the nodes. deadpool's pool of such clients is not
    /// used, because it can set neither timeouts nor certificates.
    Cluster(Box<ClusterClient>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// There is no usable connection: the server does not answer, the TLS handshake fails, or the server returns an error. The
    /// source is the cause.
    #[error("cannot connect to Redis")]
    Unavailable(#[source] RedisError),
    /// The server refuses the user or the password, or the user lacks a permission.
    #[error("Redis refuses the user or the password, or the user lacks a permission")]
    Denied(#[source] RedisError),
    /// The server answers but must not be used.
    #[error(transparent)]
    Unsuitable(#[from] UnsuitableServer),
}

impl From<RedisError> for DialError {
    fn from(error: RedisError) -> Self {
        let denied = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        if denied {
            Self::Denied(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

/// Connects to the server or the cluster of the settings.
pub(super) struct Dialer {
    /// One entry for each URL of the settings. Several URLs name nodes of one cluster.
    seeds: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    client_name: String,
}

impl Dialer {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, ConnectError> {
        let certificates = match &settings.ca_file {
            None => None,
            Some(path) => Some(TlsCertificates {
                client_tls: None,
                root_cert: Some(fs::read(path).map_err(|source| ConnectError::CaFile {
                    path: path.clone(),
                    source,
                })?),
            }),
        };
        let seeds = settings
            .url
            .split(',')
            .map(|url| parse_seed(url.trim(), certificates.as_ref()));
        Ok(Self {
            seeds: seeds
                .collect::<RedisResult<_>>()
                .map_err(ConnectError::Url)?,
            certificates,
            client_name: settings.client_name.clone(),
        })
    }

    /// Finds out whether Redis is one server or a cluster, and checks whether it may be used.
    pub(super) async fn probe(&self) -> Result<RedisServer, DialError> {
        let mut answered = None;
        let mut last_error = None;
        for seed in &self.seeds {
            match self.query_setup(seed).await {
                Ok(setup) => {
                    answered = Some((seed, setup));
                    break;
                }
                Err(error) => last_error = Some(error),
            }
        }
        let Some((seed, setup)) = answered else {
            return Err(last_error.unwrap_or_else(|| timed_out().into()));
        };
        setup.check()?;
        for warning in setup.warnings() {
            tracing::warn!("{warning}");
        }
        if setup.is_cluster {
            let client = self.cluster_client(RESPONSE_TIMEOUT)?;
            return Ok(RedisServer::Cluster(Box::new(client)));
        }
        if self.seeds.len() > 1 {
            return Err(UnsuitableServer::NoCluster.into());
        }
        let manager = Manager::new_with_config(seed.clone(), connection_config())?;
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build();
        pool.map(RedisServer::Single)
            .map_err(|error| RedisError::from(std::io::Error::other(error)).into())
    }

    async fn query_setup(&self, seed: &ConnectionInfo) -> Result<ServerSetup, DialError> {
        let query = async {
            let client = Client::open(seed.clone())?;
            let config = connection_config();
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            ServerSetup::query(&mut connection).await
        };
        Ok(timeout(DIAL_TIMEOUT, query)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?)
    }

    fn cluster_client(&self, response_timeout: Duration) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClient::builder(self.seeds.clone())
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(response_timeout)
            .overall_response_timeout(Some(response_timeout))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(CLUSTER_RETRY_DELAY_MS.0)
            .max_retry_wait(CLUSTER_RETRY_DELAY_MS.1)
            .tcp_settings(tcp_settings());
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }

    /// Takes a connection from the pool. The pool tests an idle connection or opens a new one.
    pub(super) async fn connect_single(
        &self,
        pool: &Pool,
    ) -> RedisResult<deadpool_redis::Connection> {
        let dial = async {
            let mut connection = pool.get().await.map_err(|error| match error {
                deadpool_redis::PoolError::Backend(error) => error,
                other => RedisError::from(std::io::Error::other(other)),
            })?;
            self.set_name(&mut connection).await;
            Ok(connection)
        };
        timeout(DIAL_TIMEOUT, dial)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Names the connection in the server's list of clients. A failure is harmless.
    async fn set_name(&self, connection: &mut MultiplexedConnection) {
        let mut name = cmd("CLIENT");
        name.arg("SETNAME").arg(&self.client_name);
        if let Err(error) = name.exec_async(connection).await {
            tracing::debug!(%error, "a connection to Redis has no name in CLIENT LIST");
        }
    }

    /// Connects to all nodes of a cluster.
    pub(super) async fn connect_cluster(
        &self,
        client: &ClusterClient,
    ) -> RedisResult<ClusterConnection> {
        timeout(DIAL_TIMEOUT, client.get_async_connection())
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Opens a connection for large commands and large replies.
    pub(super) async fn connect_bulk(&self, server: &RedisServer) -> RedisResult<RedisConnection> {
        let dial = async {
            match (server, self.seeds.first()) {
                (RedisServer::Single(_), Some(seed)) => {
                    let client = Client::open(seed.clone())?;
                    let config =
                        connection_config().set_response_timeout(Some(BULK_RESPONSE_TIMEOUT));
                    let mut connection = client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?;
                    self.set_name(&mut connection).await;
                    Ok(RedisConnection::Single(connection))
                }
                _ => {
                    let client = self.cluster_client(BULK_RESPONSE_TIMEOUT)?;
                    let connection = client.get_async_connection().await?;
                    Ok(RedisConnection::Cluster(connection))
                }
            }
        };
        timeout(DIAL_TIMEOUT, dial)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Opens a connection for notices. Such a connection can carry no other commands. In a cluster, one connection is
    /// enough, because every node forwards the notices of all nodes.
    pub(super) async fn connect_subscriber(&self) -> RedisResult<PubSub> {
        let mut last_error = timed_out();
        for seed in &self.seeds {
            // redis-rs sends no CLIENT SETNAME on a pub/sub connection. The library name in CLIENT LIST
            // identifies it instead.
            let info = seed
                .redis_settings()
                .clone()
                .set_lib_name(&self.client_name, "");
            let client = Client::open(seed.clone().set_redis_settings(info))?;
            match timeout(DIAL_TIMEOUT, client.get_async_pubsub()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last_error = error,
                Err(_) => {}
            }
        }
        Err(last_error)
    }
}

/// Parses one URL of the settings.
fn parse_seed(url: &str, certificates: Option<&TlsCertificates>) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?.set_tcp_settings(tcp_settings());
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(info);
    }
    // An error means that rustls already has a default crypto provider in this process. This is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match certificates {
        Some(certificates) => {
            let client = Client::build_with_tls(info, certificates.clone())?;
            Ok(client.get_connection_info().clone())
        }
        None => Ok(info),
    }
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(
        TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE),
    );
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}

fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
