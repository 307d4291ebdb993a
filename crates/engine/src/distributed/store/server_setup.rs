//! Checks the version and the settings of a server before the store uses the server.

use std::collections::HashMap;

use redis::{RedisError, Value, aio::ConnectionLike, cmd};

use super::settings::UnsuitableServer;

/// The oldest major version that has script flags and `SET … NX GET`.
const MAJOR_MIN: u32 = 7;

/// The settings of a server that concern the store. `None` means that the server does not report the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerSetup {
    version: String,
    pub(super) is_cluster: bool,
    appendonly: Option<bool>,
    appendfsync: Option<String>,
    maxmemory_policy: Option<String>,
}

impl ServerSetup {
    /// Queries a server with INFO and CONFIG. Managed servers often deny CONFIG; then only INFO is used.
    pub(super) async fn query(
        connection: &mut (impl ConnectionLike + Send),
    ) -> Result<Self, RedisError> {
        let info: String = cmd("INFO").query_async(connection).await?;
        let mut setup = Self::of_info(&info);
        let mut config = cmd("CONFIG");
        config
            .arg("GET")
            .arg(&["appendonly", "appendfsync", "maxmemory-policy"]);
        match config
            .query_async::<HashMap<String, Value>>(connection)
            .await
        {
            Ok(config) => setup.add_config(&config),
            Err(error) if error.is_io_error() => return Err(error),
            Err(_) => tracing::debug!("Redis denies CONFIG; only the settings in INFO are checked"),
        }
        Ok(setup)
    }

    fn of_info(info: &str) -> Self {
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.strip_prefix(':'))
                .map(str::trim)
        };
        Self {
            version: field("redis_version").unwrap_or_default().to_owned(),
            is_cluster: field("cluster_enabled") == Some("1"),
            appendonly: field("aof_enabled").map(|on| on == "1"),
            appendfsync: None,
            maxmemory_policy: field("maxmemory_policy").map(str::to_owned),
        }
    }

    fn add_config(&mut self, config: &HashMap<String, Value>) {
        let value = |name: &str| match config.get(name) {
            Some(Value::BulkString(bytes)) => String::from_utf8(bytes.clone()).ok(),
            Some(Value::SimpleString(text)) => Some(text.clone()),
            _ => None,
        };
        self.appendonly = value("appendonly")
            .map(|on| on == "yes")
            .or(self.appendonly);
        self.appendfsync = value("appendfsync");
        self.maxmemory_policy = value("maxmemory-policy").or_else(|| self.maxmemory_policy.take());
    }

    /// Returns an error if the server must not be used.
    pub(super) fn check(&self) -> Result<(), UnsuitableServer> {
        let major = self.version.split('.').next();
        if major
            .and_then(|major| major.parse::<u32>().ok())
            .unwrap_or(0)
            < MAJOR_MIN
        {
            return Err(UnsuitableServer::TooOld {
                version: self.version.clone(),
            });
        }
        match &self.maxmemory_policy {
            Some(policy) if policy.starts_with("allkeys") => Err(UnsuitableServer::Evicts {
                policy: policy.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Warnings for the operator about data that these settings can lose.
    pub(super) fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        match (self.appendonly, self.appendfsync.as_deref()) {
            (Some(false), _) => warnings.push(
                "appendonly is off: a restart of Redis loses all accepted jobs since its last snapshot; \
                 set appendonly yes and appendfsync always",
            ),
            (_, Some("everysec")) => warnings.push(
                "appendfsync is everysec: if Redis is killed, up to two seconds of accepted jobs are lost; \
                 set appendfsync always",
            ),
            (_, Some("no")) => warnings.push(
                "appendfsync is no: if Redis is killed or the machine fails, accepted jobs that were not yet \
                 written are lost; set appendfsync always",
            ),
            (_, None) => warnings.push(
                "Redis does not report appendfsync: if it is not set to always, a failure of Redis may lose accepted \
                 jobs; make sure that appendfsync is set to always",
            ),
            _ => {}
        }
        if self
            .maxmemory_policy
            .as_deref()
            .is_some_and(|policy| policy.starts_with("volatile"))
        {
            // These policies only delete keys with an expiry, and live jobs have none.
            warnings.push(
                "maxmemory-policy is a volatile-* policy: when Redis is out of memory, it deletes finished jobs, idle \
                 sessions and idempotency keys too early; set maxmemory-policy noeviction",
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(info: &str, config: &[(&str, &str)]) -> ServerSetup {
        let mut setup = ServerSetup::of_info(info);
        let config: HashMap<_, _> = config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::BulkString((*value).into())))
            .collect();
        setup.add_config(&config);
        setup
    }

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\n# Persistence\r\naof_enabled:0\r\n\
        # Memory\r\nmaxmemory_policy:noeviction\r\n# Cluster\r\ncluster_enabled:0\r\n";

    #[test]
    fn a_server_with_the_right_settings_passes_without_a_warning() {
        let config = [
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
        ];
        let setup = setup(INFO, &config);
        assert_eq!(setup.check(), Ok(()));
        assert_eq!(setup.warnings(), Vec::<&str>::new());
        assert!(!setup.is_cluster);
    }

    #[test]
    fn without_config_the_settings_in_info_are_checked() {
        let setup = setup(&INFO.replace("noeviction", "allkeys-lru"), &[]);
        let error = setup.check().unwrap_err();
        assert!(error.to_string().contains("noeviction"), "{error}");
        assert!(setup.warnings()[0].starts_with("appendonly is off"));
    }

    #[test]
    fn the_warnings_name_what_can_be_lost() {
        let config = [
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            ("maxmemory-policy", "volatile-lru"),
        ];
        let setup = setup(INFO, &config);
        assert_eq!(setup.check(), Ok(()));
        let warnings = setup.warnings();
        assert!(warnings[0].contains("two seconds"));
        assert!(warnings[1].contains("volatile"));
    }

    #[test]
    fn an_old_server_is_refused() {
        let old = setup(&INFO.replace("7.0.15", "6.2.14"), &[]);
        assert!(matches!(old.check(), Err(UnsuitableServer::TooOld { .. })));
        let valkey = INFO.replace("7.0.15", "7.2.4\r\nvalkey_version:8.1.0");
        assert_eq!(setup(&valkey, &[]).check(), Ok(()));
    }
}
