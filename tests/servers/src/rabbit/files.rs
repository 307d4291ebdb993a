//! The folder, the settings and the environment of one node: everything that would otherwise be shared
//! with the system's RabbitMQ.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crate::tls::Certificates;

/// What one node is: its name, its ports and its folder.
#[derive(Clone, Debug)]
pub(super) struct NodeFiles {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) amqp_port: u16,
    pub(super) management_port: Option<u16>,
    /// Where Erlang nodes, `rabbitmqctl` among them, ask for this one's port.
    pub(super) names_port: u16,
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
            // To the console, which is this fixture's one log file.
            "log.file = false".to_owned(),
            "log.console = true".to_owned(),
            "log.console.level = info".to_owned(),
            // What the management API shows is then at most a second old.
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

    /// A command of Erlang or RabbitMQ that sees only this node's files, names and ports.
    pub(super) fn command(&self, binary: &Path) -> Command {
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        let mut command = Command::new(binary);
        command.env_clear().current_dir(&self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LANG", "C.UTF-8");
        // The cookie, which lets nodes and `rabbitmqctl` talk to each other, is in the home folder.
        command.env("HOME", &self.folder);
        command.env("ERL_EPMD_PORT", self.names_port.to_string());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        // No Erlang machine may leave a names daemon behind; the fixture starts the one that is needed.
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
        // The start script then becomes the Erlang machine instead of waiting for it, so that signals and
        // the exit status are the machine's own.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        // Several nodes on few cores: an idle one must not spin.
        let idle = "+sbwt none +sbwtdcpu none +sbwtdio none";
        command.env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("{loopback} {idle}"),
        );
        command.env("RABBITMQ_CTL_ERL_ARGS", loopback);
        command
    }
}
