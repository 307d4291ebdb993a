//! The folder, the settings and the environment of one node. They separate the node from the system's RabbitMQ.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crate::tls::Certificates;

/// The name, the ports and the folder of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeFiles {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) amqp_port: u16,
    pub(super) management_port: Option<u16>,
    /// The port of epmd, from which Erlang nodes and `rabbitmqctl` learn this node's distribution port.
    pub(super) epmd_port: u16,
    /// The port on which Erlang nodes and `rabbitmqctl` reach this node.
    pub(super) distribution_port: u16,
    pub(super) tls: Option<Arc<Certificates>>,
}

impl NodeFiles {
    /// Writes the node's settings.
    pub(super) fn write(&self) -> std::io::Result<()> {
        fs::write(self.folder.join("rabbitmq.conf"), self.settings())?;
        fs::write(self.folder.join("env.conf"), "")?;
        let plugins = if self.management_port.is_some() {
            "[rabbitmq_management].\n"
        } else {
            "[].\n"
        };
        fs::write(self.folder.join("enabled_plugins"), plugins)
    }

    fn settings(&self) -> String {
        let mut lines = vec![
            "loopback_users.guest = true".to_owned(),
            // `ServerProcess` writes the console's output to the log file.
            "log.file = false".to_owned(),
            "log.console = true".to_owned(),
            "log.console.level = info".to_owned(),
            // Every second instead of every five, the management API then collects what the queues have reported.
            "collect_statistics_interval = 1000".to_owned(),
        ];
        match &self.tls {
            None => lines.push(format!("listeners.tcp.1 = 127.0.0.1:{}", self.amqp_port)),
            Some(tls) => lines.extend([
                "listeners.tcp = none".to_owned(),
                format!("listeners.ssl.1 = 127.0.0.1:{}", self.amqp_port),
                format!("ssl_options.cacertfile = {}", tls.ca_file().display()),
                format!(
                    "ssl_options.certfile = {}",
                    tls.certificate_file().display()
                ),
                format!("ssl_options.keyfile = {}", tls.key_file().display()),
                "ssl_options.verify = verify_none".to_owned(),
                "ssl_options.fail_if_no_peer_cert = false".to_owned(),
            ]),
        }
        if let Some(port) = self.management_port {
            lines.push("management.tcp.ip = 127.0.0.1".to_owned());
            lines.push(format!("management.tcp.port = {port}"));
        }
        lines.join("\n") + "\n"
    }

    /// A command of Erlang or RabbitMQ that uses only this node's files, names and ports.
    pub(super) fn command(&self, binary: &Path) -> Command {
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        let mut command = Command::new(binary);
        command.env_clear().current_dir(&self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LANG", "C.UTF-8");
        // The home folder contains the cookie that nodes and `rabbitmqctl` authenticate with.
        command.env("HOME", &self.folder);
        command.env("ERL_EPMD_PORT", self.epmd_port.to_string());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        // Without this, Erlang starts an epmd that outlives the test. The node has an epmd of its own.
        command.env("ERL_FLAGS", "-start_epmd false");
        command.env("ERL_CRASH_DUMP", self.folder.join("erl_crash.dump"));
        command.env("RABBITMQ_NODENAME", &self.name);
        command.env("RABBITMQ_DIST_PORT", self.distribution_port.to_string());
        for (variable, file) in [
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "config"),
            ("RABBITMQ_SCHEMA_DIR", "schema"),
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_PID_FILE", "node.pid"),
        ] {
            command.env(variable, self.folder.join(file));
        }
        // With this, the start script replaces itself with the Erlang VM instead of waiting for it. Signals then
        // reach the VM, and the exit status is the VM's.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        // Tests run several nodes on few cores, so the schedulers of an idle VM must not busy-wait.
        let no_busy_wait = "+sbwt none +sbwtdcpu none +sbwtdio none";
        command.env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("{loopback} {no_busy_wait}"),
        );
        command.env("RABBITMQ_CTL_ERL_ARGS", loopback);
        command
    }
}
