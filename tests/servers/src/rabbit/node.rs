//! One RabbitMQ node that a test owns.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    epmd,
    files::NodeFiles,
    handshake,
    management::{Management, segment},
    vhost::Vhost,
};
use crate::{binary, poll, port, process::ServerProcess, tls::Certificates};

const BINARY_VARIABLE: &str = "FOREBAY_TEST_RABBITMQ_SERVER";
/// In Debian, the command in `PATH` starts only the system's node. The script in `/usr/lib` starts any node.
const BINARIES: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"];
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a restart waits until its ports are free.
const PORT_TIMEOUT: Duration = Duration::from_secs(60);
/// How many times a start is tried, each time with other ports, if another process has taken a port.
const STARTS_MAX: u32 = 3;

/// The options of a node.
#[derive(Clone, Debug)]
pub struct RabbitOptions {
    /// Whether the node has the management API; true by default. Most methods of [`Vhost`] need it.
    pub management: bool,
    /// The certificates for AMQP over TLS, without plain AMQP; no TLS if `None`. Clients need no certificate.
    pub tls: Option<Arc<Certificates>>,
}

impl Default for RabbitOptions {
    fn default() -> Self {
        Self {
            management: true,
            tls: None,
        }
    }
}

/// A RabbitMQ node on loopback, with its data in a temporary folder. Dropping it ends the node and deletes the
/// folder.
pub struct Rabbit {
    // Fields are dropped in this order: first the node, then its epmd, last the folder of both.
    node: ServerProcess,
    _epmd: ServerProcess,
    pub(super) files: NodeFiles,
    pub(super) management: Option<Management>,
    /// The path of `rabbitmqctl`.
    pub(super) rabbitmqctl: PathBuf,
    folder: TempDir,
}

static SHARED: OnceCell<Rabbit> = OnceCell::const_new();

/// The node that the tests of this process share, with management and without TLS. The first call starts the node, and
/// the node ends with the process. Each test uses its own [`Vhost`] and does not change the node.
///
/// # Errors
/// The errors of [`Rabbit::start`].
pub async fn shared() -> anyhow::Result<&'static Rabbit> {
    SHARED
        .get_or_try_init(|| Rabbit::start(RabbitOptions::default()))
        .await
}

impl Rabbit {
    /// Starts a node and waits until it is ready.
    ///
    /// `FOREBAY_TEST_RABBITMQ_SERVER` may name the start script, with `rabbitmqctl` in the same folder. Without that
    /// variable, the start script is Debian's, or else `rabbitmq-server` in `PATH`.
    ///
    /// # Errors
    /// If there is no start script, or the node is not ready within three minutes. The error then contains the end of
    /// the log.
    pub async fn start(options: RabbitOptions) -> anyhow::Result<Self> {
        let server = binary::find(BINARY_VARIABLE, &BINARIES)?;
        let mut starts = 1;
        loop {
            let rabbit = Self::prepare(server.clone(), options.clone()).await?;
            match rabbit.launch().await {
                Ok(()) => return Ok(rabbit),
                Err(_) if starts < STARTS_MAX && rabbit.ports_were_taken() => starts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn prepare(server: PathBuf, options: RabbitOptions) -> anyhow::Result<Self> {
        let rabbitmqctl = server.with_file_name("rabbitmqctl");
        if !rabbitmqctl.is_file() {
            bail!(
                "there is no rabbitmqctl in the folder of {}: set {BINARY_VARIABLE} to another start script",
                server.display()
            );
        }
        let folder = tempfile::Builder::new()
            .prefix("forebay-rabbit-")
            .tempdir()?;
        let files = NodeFiles {
            folder: folder.path().to_owned(),
            name: format!("fb-{:08x}@localhost", rand::random::<u32>()),
            amqp_port: port::free()?,
            management_port: options.management.then(port::free).transpose()?,
            epmd_port: port::free()?,
            distribution_port: port::free()?,
            tls: options.tls,
        };
        files.write()?;
        let management = files.management_port.map(Management::new).transpose()?;
        let epmd = epmd::start(&files).await?;
        let files_of_command = files.clone();
        let node = ServerProcess::new("rabbitmq", folder.path(), move || {
            files_of_command.command(&server)
        });
        Ok(Self {
            node,
            _epmd: epmd,
            files,
            management,
            rabbitmqctl,
            folder,
        })
    }

    /// The folder with the data and the log of the node.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn launch(&self) -> anyhow::Result<()> {
        self.node.spawn()?;
        self.node
            .until_ready(START_TIMEOUT, || self.is_ready())
            .await
    }

    async fn is_ready(&self) -> bool {
        let port = self.files.amqp_port;
        let amqp_is_ready = match self.files.tls {
            None => handshake::is_node_ready(port, &self.files.name).await,
            Some(_) => handshake::listens(port).await,
        };
        let Some(management) = &self.management else {
            return amqp_is_ready;
        };
        let overview = management.get("/api/overview");
        amqp_is_ready
            && overview
                .await
                .is_ok_and(|overview| overview["node"] == self.files.name.as_str())
    }

    fn ports_were_taken(&self) -> bool {
        let log = self.node.log_tail();
        ["eaddrinuse", "already in use", "address in use"]
            .iter()
            .any(|message| log.contains(message))
    }

    /// The URL for clients: `amqp://guest:guest@127.0.0.1:<port>/%2F`, or with TLS
    /// `amqps://guest:guest@localhost:<port>/%2F`.
    pub fn url(&self) -> String {
        self.url_of("/")
    }

    fn url_of(&self, vhost: &str) -> String {
        let (scheme, host) = match self.files.tls {
            None => ("amqp", "127.0.0.1"),
            Some(_) => ("amqps", "localhost"),
        };
        format!(
            "{scheme}://guest:guest@{host}:{}/{}",
            self.files.amqp_port,
            segment(vhost)
        )
    }

    /// The port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.files.amqp_port
    }

    /// The management API.
    ///
    /// # Errors
    /// If the node has no management API.
    pub fn management(&self) -> anyhow::Result<&Management> {
        self.management
            .as_ref()
            .context("the node has no management API: start it with `management: true`")
    }

    /// The URL of the management API: `http://127.0.0.1:<port>`, for the user `guest` with the password `guest`.
    ///
    /// # Errors
    /// If the node has no management API.
    pub fn management_url(&self) -> anyhow::Result<String> {
        Ok(self.management()?.url().to_owned())
    }

    /// Kills the node with SIGKILL. Its data and ports are kept for [`restart`](Self::restart).
    ///
    /// # Errors
    /// If the node still runs after a minute.
    pub async fn kill9(&self) -> anyhow::Result<()> {
        self.node.kill9().await
    }

    /// Ends the node with SIGTERM, as an operating system does when it shuts down.
    ///
    /// # Errors
    /// If the node still runs after two minutes. It is then killed.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.node.stop(STOP_TIMEOUT).await
    }

    /// Stops the node if it runs, and starts it again with the same ports and data.
    ///
    /// # Errors
    /// The errors of [`start`](Self::start) and [`stop`](Self::stop).
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        let files = &self.files;
        let ports = [
            Some(files.amqp_port),
            files.management_port,
            Some(files.distribution_port),
        ];
        let free = || async { ports.iter().flatten().all(|port| port::is_free(*port)) };
        if !poll::until(PORT_TIMEOUT, free).await {
            bail!("another process has taken a port of the stopped RabbitMQ");
        }
        self.launch().await
    }

    /// Stops the node's processes with SIGSTOP: connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// If the signal cannot be sent, or the node still runs after a minute.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.node.pause()
    }

    /// Continues the node with SIGCONT after a [`pause`](Self::pause).
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.node.signal(Signal::CONT)
    }

    /// The virtual host `/`, which every node has.
    pub fn default_vhost(&self) -> Vhost {
        self.vhost_handle("/")
    }

    /// Makes a virtual host with a new name and gives the user `guest` all permissions.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn vhost(&self) -> anyhow::Result<Vhost> {
        let name = format!("test-{:016x}", rand::random::<u64>());
        if let Some(management) = &self.management {
            management
                .put(&format!("/api/vhosts/{name}"), &json!({}))
                .await?;
            let permissions = json!({"configure": ".*", "write": ".*", "read": ".*"});
            management
                .put(&format!("/api/permissions/{name}/guest"), &permissions)
                .await?;
        } else {
            self.ctl(&["add_vhost", &name]).await?;
            self.ctl(&["set_permissions", "-p", &name, "guest", ".*", ".*", ".*"])
                .await?;
        }
        Ok(self.vhost_handle(&name))
    }

    fn vhost_handle(&self, name: &str) -> Vhost {
        Vhost {
            name: name.to_owned(),
            url: self.url_of(name),
            management: self.management.clone(),
        }
    }

    /// The connections of all virtual hosts, as the management API lists them. The field `user_provided_name` is the
    /// name that the client chose, and `vhost` is its virtual host.
    ///
    /// # Errors
    /// If the node does not answer, or has no management API.
    pub async fn connections(&self) -> anyhow::Result<Vec<Value>> {
        match self.management()?.get("/api/connections").await? {
            Value::Array(connections) => Ok(connections),
            other => bail!("the answer is not a list of connections: {other}"),
        }
    }

    /// The id of the node's process group, if the node runs. All its processes belong to this group.
    pub fn group_id(&self) -> Option<u32> {
        self.node.group_id()
    }

    /// The last lines of the node's log.
    pub fn log_tail(&self) -> String {
        self.node.log_tail()
    }
}
