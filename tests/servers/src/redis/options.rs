//! The options and the command line of a Redis server.

use std::{path::Path, process::Command, sync::Arc};

use crate::tls::Certificates;

/// The options of a Redis server. The default is what Forebay requires: an append-only file that is synced at
/// every write.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `appendfsync`: `always`, `everysec` or `no`.
    pub appendfsync: &'static str,
    /// `maxmemory` in bytes; no limit if `None`.
    pub maxmemory_bytes: Option<u64>,
    /// Further arguments, such as `["--maxmemory-policy", "volatile-lru"]`. They override the other options.
    pub args: Vec<String>,
    /// Environment variables of the server.
    pub env: Vec<(&'static str, String)>,
    /// The certificates for TLS at [`url`](super::Redis::url); no TLS if `None`. Clients need no certificate.
    pub tls: Option<Arc<Certificates>>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            appendfsync: "always",
            maxmemory_bytes: None,
            args: Vec::new(),
            env: Vec::new(),
            tls: None,
        }
    }
}

/// The ports of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// The port without TLS. [`Redis::command`](super::Redis::command) uses it, and so do clients if TLS is off.
    pub(super) plain: u16,
    /// The port with TLS; `None` if TLS is off.
    pub(super) tls: Option<u16>,
    /// The port for the other servers of the cluster; `None` if the server is not part of a cluster.
    pub(super) bus: Option<u16>,
}

impl RedisOptions {
    /// The command that starts a server in `folder`.
    pub(super) fn command(&self, binary: &Path, folder: &Path, ports: Ports) -> Command {
        let mut command = Command::new(binary);
        command.arg("--port").arg(ports.plain.to_string());
        command.args([
            "--bind",
            "127.0.0.1",
            "--daemonize",
            "no",
            "--save",
            "",
            "--appendonly",
            "yes",
        ]);
        command
            .args(["--appendfsync", self.appendfsync])
            .arg("--dir")
            .arg(folder);
        command.current_dir(folder);
        if let Some(bytes) = self.maxmemory_bytes {
            command.arg("--maxmemory").arg(bytes.to_string());
        }
        if let (Some(tls), Some(port)) = (&self.tls, ports.tls) {
            command.arg("--tls-port").arg(port.to_string());
            command.arg("--tls-cert-file").arg(tls.certificate_file());
            command.arg("--tls-key-file").arg(tls.key_file());
            command.arg("--tls-ca-cert-file").arg(tls.ca_file());
            command.args(["--tls-auth-clients", "no"]);
        }
        if let Some(port) = ports.bus {
            command.args([
                "--cluster-enabled",
                "yes",
                "--cluster-announce-ip",
                "127.0.0.1",
            ]);
            // On a busy machine, a node must not treat a slow node as failed.
            command
                .args(["--cluster-node-timeout", "60000"])
                .arg("--cluster-port")
                .arg(port.to_string());
        }
        command.args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}
