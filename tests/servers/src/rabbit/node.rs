//! One RabbitMQ node of a test's own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    files::NodeFiles,
    handshake,
    management::{Management, segment},
    names_daemon,
    vhost::Vhost,
};
use crate::{binary, patience, port, process::ServerProcess, tls::Certificates};

const BINARY_VARIABLE: &str = "FOREBAY_TEST_RABBITMQ_SERVER";
/// Debian's command in `PATH` starts only the system's node, as its user; the one behind it starts any.
const BINARIES: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"];
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const PORT_LIMIT: Duration = Duration::from_secs(10);
const STARTS_MAX: u32 = 3;

/// What a test may choose about its node.
#[derive(Clone, Debug)]
pub struct RabbitOptions {
    /// With the management API, which most of this fixture's own calls need; on by default.
    pub management: bool,
    /// Serves AMQP over TLS only, with these, and asks clients for none.
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

/// A RabbitMQ node on loopback, with its data in a temporary folder. Gone when dropped.
pub struct Rabbit {
    // Dropped in this order: the node, its names daemon, the folder of both.
    node: ServerProcess,
    _names_daemon: ServerProcess,
    pub(super) files: NodeFiles,
    pub(super) management: Option<Management>,
    pub(super) ctl: PathBuf,
    _folder: TempDir,
}

static SHARED: OnceCell<Rabbit> = OnceCell::const_new();

/// The one node, with management and without TLS, that the tests of this process share; started by the
/// first that asks. It ends with the process. Each test uses a [`Vhost`] of its own and leaves the node as
/// it is.
///
/// # Errors
/// As of [`Rabbit::start`].
pub async fn shared() -> anyhow::Result<&'static Rabbit> {
    SHARED
        .get_or_try_init(|| Rabbit::start(RabbitOptions::default()))
        .await
}

impl Rabbit {
    /// Starts a node and waits until it serves.
    ///
    /// # Errors
    /// When there is no binary (`FOREBAY_TEST_RABBITMQ_SERVER` names the start script, beside which is
    /// `rabbitmqctl`; else Debian's, else `rabbitmq-server` in `PATH`), or it does not come up within 90
    /// seconds; with the end of its log.
    pub async fn start(options: RabbitOptions) -> anyhow::Result<Self> {
        let server = binary::find(BINARY_VARIABLE, &BINARIES)?;
        let mut tries = 1;
        loop {
            let rabbit = Self::prepared(server.clone(), options.clone()).await?;
            match rabbit.launch().await {
                Ok(()) => return Ok(rabbit),
                Err(_) if tries < STARTS_MAX && rabbit.ports_were_taken() => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn prepared(server: PathBuf, options: RabbitOptions) -> anyhow::Result<Self> {
        let ctl = server.with_file_name("rabbitmqctl");
        if !ctl.is_file() {
            bail!(
                "no rabbitmqctl beside {}: {BINARY_VARIABLE} may name another",
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
            names_port: port::free()?,
            distribution_port: port::free()?,
            tls: options.tls,
        };
        files.write()?;
        let management = files.management_port.map(Management::new).transpose()?;
        let names_daemon = names_daemon::start(&files).await?;
        let own = files.clone();
        let node = ServerProcess::new("rabbitmq", folder.path(), move || own.command(&server));
        Ok(Self {
            node,
            _names_daemon: names_daemon,
            files,
            management,
            ctl,
            _folder: folder,
        })
    }

    async fn launch(&self) -> anyhow::Result<()> {
        self.node.spawn()?;
        self.node.until_ready(START_LIMIT, || self.serves()).await
    }

    async fn serves(&self) -> bool {
        let port = self.files.amqp_port;
        let amqp = match self.files.tls {
            None => handshake::greets(port, &self.files.name).await,
            Some(_) => handshake::listens(port).await,
        };
        let Some(management) = &self.management else {
            return amqp;
        };
        let overview = management.get("/api/overview");
        amqp && overview
            .await
            .is_ok_and(|overview| overview["node"] == self.files.name.as_str())
    }

    fn ports_were_taken(&self) -> bool {
        let log = self.node.log_tail();
        ["eaddrinuse", "already in use", "address in use"]
            .iter()
            .any(|sign| log.contains(sign))
    }

    /// The address for a client: `amqp://guest:guest@127.0.0.1:<port>/%2F`, with TLS
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
    /// When the node was started without.
    pub fn management(&self) -> anyhow::Result<&Management> {
        self.management
            .as_ref()
            .context("this needs a node with `management: true`")
    }

    /// The address of the management API: `http://127.0.0.1:<port>`, for `guest` with `guest`.
    ///
    /// # Errors
    /// When the node was started without.
    pub fn management_url(&self) -> anyhow::Result<String> {
        Ok(self.management()?.url().to_owned())
    }

    /// Ends it with SIGKILL. Its data and ports stay its own, for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When it is still there after ten seconds.
    pub async fn kill9(&self) -> anyhow::Result<()> {
        self.node.kill9().await
    }

    /// Ends it with SIGTERM, as a system does that shuts down.
    ///
    /// # Errors
    /// When it needed more than a minute; it has been killed then.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.node.stop(STOP_LIMIT).await
    }

    /// Starts it again at the same ports with the same data, stopping it before if it runs.
    ///
    /// # Errors
    /// As of [`start`](Self::start) and [`stop`](Self::stop).
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        let files = &self.files;
        let ports = [
            Some(files.amqp_port),
            files.management_port,
            Some(files.distribution_port),
        ];
        let free = || async { ports.iter().flatten().all(|port| port::is_free(*port)) };
        if !patience::until(PORT_LIMIT, free).await {
            bail!("a port of the stopped RabbitMQ has been taken by another process");
        }
        self.launch().await
    }

    /// Stops its processes where they are (SIGSTOP): connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// When the signal could not be sent.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.node.pause()
    }

    /// Lets it go on after [`pause`](Self::pause) (SIGCONT).
    ///
    /// # Errors
    /// When the signal could not be sent.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.node.signal(Signal::CONT)
    }

    /// The virtual host `/`, which every node has.
    pub fn default_vhost(&self) -> Vhost {
        self.vhost_handle("/")
    }

    /// Makes a virtual host of a new name, of which the user `guest` may do everything.
    ///
    /// # Errors
    /// When the node cannot be asked.
    pub async fn vhost(&self) -> anyhow::Result<Vhost> {
        let name = format!("test-{:016x}", rand::random::<u64>());
        if let Some(management) = &self.management {
            management
                .put(&format!("/api/vhosts/{name}"), &json!({}))
                .await?;
            let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
            management
                .put(&format!("/api/permissions/{name}/guest"), &all)
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

    /// The connections of all virtual hosts, as the management API shows them: `user_provided_name` is what
    /// the client calls itself, `vhost` where it is.
    ///
    /// # Errors
    /// When the node cannot be asked, or has no management API.
    pub async fn connections(&self) -> anyhow::Result<Vec<Value>> {
        match self.management()?.get("/api/connections").await? {
            Value::Array(connections) => Ok(connections),
            other => bail!("no list of connections: {other}"),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.node.log_tail()
    }
}
