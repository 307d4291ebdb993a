//! Makes connections to Redis, and finds out what it is: one server or a cluster.

use std::{fs, time::Duration};

use deadpool_redis::{Manager, Pool};
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
    checks,
    settings::{ConnectError, RedisSettings, Unfit},
};

/// How long an answer may take. The client's own default is 500 ms, and a command that runs into it may
/// still run, so every call of the port is safe to repeat.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// All of the above for a connection that also has to introduce itself.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// When an idle peer is asked whether it is still there, and when unacknowledged data means that it is not.
const KEEPALIVE: Duration = Duration::from_secs(5);
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the cluster's client tries a command again before it gives up, and the pauses between.
const CLUSTER_RETRIES: u32 = 3;
const CLUSTER_PAUSE_MS: (u64, u64) = (20, 200);

/// Connections for commands to one server: this many, which is enough as each carries many commands at
/// once, and two use the client's time better than one.
pub(super) const CONNECTIONS: usize = 2;

/// What is behind the URL.
pub(super) enum Server {
    /// One server, or what looks like one.
    Single(Pool),
    /// A Redis Cluster. Its client makes the connections to the nodes by itself; deadpool's pool of such
    /// clients has no time limits and no certificates to set, and would bring nothing.
    Cluster(Box<ClusterClient>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The server does not answer, or not now.
    #[error("Redis does not answer")]
    Away(#[source] RedisError),
    /// It does not let us in.
    #[error("Redis refuses the user or the password")]
    Denied(#[source] RedisError),
    /// It must not be used.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl From<RedisError> for DialError {
    fn from(error: RedisError) -> Self {
        let denied = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        if denied {
            Self::Denied(error)
        } else {
            Self::Away(error)
        }
    }
}

/// Makes connections.
pub(super) struct Dialer {
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
            .map(|url| seed(url.trim(), certificates.as_ref()));
        Ok(Self {
            seeds: seeds
                .collect::<RedisResult<_>>()
                .map_err(ConnectError::Url)?,
            certificates,
            client_name: settings.client_name.clone(),
        })
    }

    /// Looks at the server, once it answers: what it is, and whether it may be used.
    pub(super) async fn probe(&self) -> Result<Server, DialError> {
        let mut reached = None;
        let mut failed = None;
        for seed in &self.seeds {
            match self.ask(seed).await {
                Ok(setup) => {
                    reached = Some((seed, setup));
                    break;
                }
                Err(error) => failed = Some(error),
            }
        }
        let Some((seed, setup)) = reached else {
            return Err(failed.unwrap_or_else(|| timed_out().into()));
        };
        setup.verdict()?;
        for warning in setup.warnings() {
            tracing::warn!("{warning}");
        }
        if setup.clustered {
            return Ok(Server::Cluster(Box::new(self.cluster()?)));
        }
        if self.seeds.len() > 1 {
            return Err(Unfit::NoCluster.into());
        }
        let manager = Manager::new_with_config(seed.clone(), config())?;
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build();
        pool.map(Server::Single)
            .map_err(|error| RedisError::from(std::io::Error::other(error)).into())
    }

    async fn ask(&self, seed: &ConnectionInfo) -> Result<checks::ServerSetup, DialError> {
        let asks = async {
            let client = Client::open(seed.clone())?;
            let config = config();
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            checks::ask(&mut connection).await
        };
        Ok(timeout(DIAL_TIMEOUT, asks)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?)
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClient::builder(self.seeds.clone())
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .overall_response_timeout(Some(RESPONSE_TIMEOUT))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(CLUSTER_PAUSE_MS.0)
            .max_retry_wait(CLUSTER_PAUSE_MS.1)
            .tcp_settings(tcp());
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }

    /// A connection out of the pool, which makes one if it has none left, and tries one that it has.
    pub(super) async fn single(&self, pool: &Pool) -> RedisResult<deadpool_redis::Connection> {
        let dial = async {
            let mut connection = pool.get().await.map_err(|error| match error {
                deadpool_redis::PoolError::Backend(error) => error,
                other => RedisError::from(std::io::Error::other(other)),
            })?;
            self.introduce(&mut connection).await;
            Ok(connection)
        };
        timeout(DIAL_TIMEOUT, dial)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Says in the server's list of clients whose connection this is; no harm if it does not work.
    async fn introduce(&self, connection: &mut MultiplexedConnection) {
        let mut name = cmd("CLIENT");
        name.arg("SETNAME").arg(&self.client_name);
        if let Err(error) = name.exec_async(connection).await {
            tracing::debug!(%error, "a connection to Redis stays without a name");
        }
    }

    /// Connections to all nodes of a cluster.
    pub(super) async fn clustered(&self, client: &ClusterClient) -> RedisResult<ClusterConnection> {
        timeout(DIAL_TIMEOUT, client.get_async_connection())
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// A connection for notices alone, as a connection that waits for them serves nothing else. In a
    /// cluster any node passes on the notices of all.
    pub(super) async fn subscriber(&self) -> RedisResult<PubSub> {
        let mut failed = timed_out();
        for seed in &self.seeds {
            let info = seed
                .redis_settings()
                .clone()
                .set_lib_name(&self.client_name, "");
            let client = Client::open(seed.clone().set_redis_settings(info))?;
            match timeout(DIAL_TIMEOUT, client.get_async_pubsub()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failed = error,
                Err(_) => {}
            }
        }
        Err(failed)
    }
}

fn seed(url: &str, certificates: Option<&TlsCertificates>) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?.set_tcp_settings(tcp());
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(info);
    }
    // The one provider of this program. An error means that it has one already.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match certificates {
        Some(certificates) => {
            let client = Client::build_with_tls(info, certificates.clone())?;
            Ok(client.get_connection_info().clone())
        }
        None => Ok(info),
    }
}

fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(
        TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE),
    );
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
