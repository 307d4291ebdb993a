//! One Redis server that a test owns.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    connection::Connection,
    options::{Ports, RedisOptions},
    reply::RedisReply,
};
use crate::{binary, poll, port, process::ServerProcess};

const BINARY_VARIABLE: &str = "FOREBAY_TEST_REDIS_SERVER";
const BINARIES: [&str; 2] = ["redis-server", "valkey-server"];
/// How long a start may take, and how long a restart waits until its ports are free.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How many times a start is tried, each time with other ports, if another process has taken a port.
const STARTS_MAX: u32 = 5;

/// A Redis server on loopback, with its data in a temporary folder. Dropping it ends the server and deletes the
/// folder.
pub struct Redis {
    // The first field is dropped first: the process ends before its folder is deleted.
    process: ServerProcess,
    folder: TempDir,
    ports: Ports,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If there is no binary (`FOREBAY_TEST_REDIS_SERVER`, or else `redis-server` or `valkey-server` in `PATH`),
    /// or the server does not answer. The error then contains the end of the log.
    pub async fn start(options: RedisOptions) -> anyhow::Result<Self> {
        let in_cluster = false;
        Self::start_as(options, in_cluster).await
    }

    pub(super) async fn start_as(options: RedisOptions, in_cluster: bool) -> anyhow::Result<Self> {
        let binary = binary::find(BINARY_VARIABLE, &BINARIES)?;
        let mut starts = 1;
        loop {
            let redis = Self::prepare(&binary, options.clone(), in_cluster)?;
            match redis.launch().await {
                Ok(()) => return Ok(redis),
                // Another process took one of the ports first.
                Err(_) if starts < STARTS_MAX && redis.ports_were_taken() => starts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(binary: &Path, options: RedisOptions, in_cluster: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("forebay-redis-")
            .tempdir()?;
        let ports = Ports {
            plain: port::free()?,
            tls: options.tls.is_some().then(port::free).transpose()?,
            bus: in_cluster.then(port::free).transpose()?,
        };
        let (binary, path) = (binary.to_owned(), folder.path().to_owned());
        let command = move || options.command(&binary, &path, ports);
        let process = ServerProcess::new("redis", folder.path(), command);
        Ok(Self {
            process,
            folder,
            ports,
        })
    }

    async fn launch(&self) -> anyhow::Result<()> {
        self.process.spawn()?;
        self.process
            .until_ready(START_TIMEOUT, || self.answers())
            .await
    }

    /// Whether this server answers. Another server at the same port has another folder.
    async fn answers(&self) -> bool {
        let folder = self.folder.path().canonicalize().unwrap_or_default();
        let Ok(reply) = self.command(&["CONFIG", "GET", "dir"]).await else {
            return false;
        };
        let RedisReply::Array(parts) = reply else {
            return false;
        };
        // While Redis loads its data, it answers CONFIG but refuses PING.
        parts
            .last()
            .is_some_and(|dir| dir.to_string() == folder.to_string_lossy())
            && self.command(&["PING"]).await.is_ok()
    }

    fn ports_were_taken(&self) -> bool {
        self.process.log_tail().contains("Address already in use")
    }

    /// The folder with the data of the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL for clients: `redis://127.0.0.1:<port>`, or with TLS `rediss://localhost:<port>`.
    pub fn url(&self) -> String {
        match self.ports.tls {
            Some(port) => format!("rediss://localhost:{port}"),
            None => format!("redis://127.0.0.1:{}", self.ports.plain),
        }
    }

    /// The port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.ports.tls.unwrap_or(self.ports.plain)
    }

    /// Kills the server with SIGKILL. Its data and ports are kept for [`restart`](Self::restart).
    ///
    /// # Errors
    /// If the server still runs after a minute.
    pub async fn kill9(&self) -> anyhow::Result<()> {
        self.process.kill9().await
    }

    /// Ends the server with SIGTERM, as an operating system does when it shuts down.
    ///
    /// # Errors
    /// If the server still runs after a minute. It is then killed.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.process.stop(STOP_TIMEOUT).await
    }

    /// Stops the server if it runs, and starts it again with the same ports and data.
    ///
    /// # Errors
    /// The errors of [`start`](Self::start) and [`stop`](Self::stop).
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        let ports = [Some(self.ports.plain), self.ports.tls, self.ports.bus];
        let free = || async { ports.iter().flatten().all(|port| port::is_free(*port)) };
        if !poll::until(START_TIMEOUT, free).await {
            bail!("another process has taken a port of the stopped Redis");
        }
        self.launch().await
    }

    /// Stops the server's processes with SIGSTOP: connections stay open, and no command gets a reply.
    ///
    /// # Errors
    /// If the signal cannot be sent, or the server still runs after a minute.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Continues the server with SIGCONT after a [`pause`](Self::pause).
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Runs one command, such as `["CONFIG", "SET", "maxmemory", "1mb"]`, and returns its reply as text, with a
    /// line for each item of an array.
    ///
    /// # Errors
    /// If the server cannot be reached, replies with an error, or does not reply within a minute.
    pub async fn cli(&self, command: &[&str]) -> anyhow::Result<String> {
        Ok(self.command(command).await?.to_string())
    }

    /// Runs one command and returns its reply.
    ///
    /// # Errors
    /// The errors of [`cli`](Self::cli).
    pub async fn command(&self, command: &[&str]) -> anyhow::Result<RedisReply> {
        Connection::open(self.ports.plain)
            .await?
            .call(command)
            .await
    }

    /// The server's open connections, except the connection of this request.
    ///
    /// # Errors
    /// The errors of [`cli`](Self::cli).
    pub async fn clients(&self) -> anyhow::Result<Vec<Client>> {
        let mut connection = Connection::open(self.ports.plain).await?;
        let own_id = connection.call(&["CLIENT", "ID"]).await?.to_string();
        let list = connection.call(&["CLIENT", "LIST"]).await?.to_string();
        Ok(list
            .lines()
            .map(Client::parse)
            .filter(|client| client.field("id") != own_id)
            .collect())
    }

    /// The id of the server's process group, if the server runs. All its processes belong to this group.
    pub fn group_id(&self) -> Option<u32> {
        self.process.group_id()
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    pub(super) fn plain_port(&self) -> u16 {
        self.ports.plain
    }

    pub(super) fn bus_port(&self) -> anyhow::Result<u16> {
        self.ports
            .bus
            .context("this Redis is not part of a cluster")
    }
}

/// One connection in the reply to `CLIENT LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client(BTreeMap<String, String>);

impl Client {
    fn parse(line: &str) -> Self {
        let fields = line
            .split_whitespace()
            .filter_map(|field| field.split_once('='));
        Self(
            fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// A field of `CLIENT LIST`, such as `addr`, `cmd` or `name`; empty if the server does not list it.
    pub fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}
