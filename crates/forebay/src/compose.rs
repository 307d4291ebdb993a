//! Turns settings into a plan. Reads the files that settings name. All checks that need no port and no connection happen
//! here.

use std::{
    cell::RefCell, fs::File, io::Read, net::SocketAddr, path::Path, sync::Arc, time::Duration,
};

use anyhow::{Context, ensure};
use forebay_gateway::{AdminSettings, ApiKeysFile, GatewaySettings, ModelAccounts};
use forebay_metrics::{Metrics, Roles};
use forebay_runtime::{lanes::LaneSettings, member::MemberSettings, memory::MemoryShares};
use forebay_shared::session::SessionBounds;
use forebay_telemetry::export::{ParsedSettings, TraceSettings};
use forebay_worker::{
    WorkerSettings,
    provider::{
        CallAccounts, ProviderRegistry, ProviderSettings,
        file::ProvidersFile,
        http::{HttpLimits, HttpSettings, Proxies, ReplyBudgets, TrustedCertificates},
        simulated,
    },
};

use crate::{
    engine,
    log::{LogSettings, Simulation},
    memory_limit,
    settings::{Role, Settings, secret_variable},
};

/// The most bytes of turns that are kept of one session, as JSON.
const SESSION_TURNS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most files that a process opens besides the connections of its slots and clients: the database, connections to Redis and
/// RabbitMQ, idle connections to providers.
const OTHER_FILES_MAX: usize = 128;
/// The longest pause between two tries.
const BACKOFF_MS_MAX: u64 = 60_000;

/// What a process will do.
pub(crate) struct Plan {
    pub(crate) log: LogSettings,
    /// How traces are exported, if they are, and which variables about them are ignored.
    pub(crate) traces: ParsedSettings,
    pub(crate) engine: engine::Choice,
    pub(crate) member: MemberSettings,
    /// The settings of the HTTP API; `None` for a worker.
    pub(crate) gateway: Option<GatewaySettings>,
    /// The address of the admin listener, and its settings; `None` without it.
    pub(crate) admin: Option<(SocketAddr, AdminSettings)>,
    /// Whether `FOREBAY_INSECURE_NO_AUTH` opens the gateway to everyone who reaches it.
    pub(crate) is_open_to_everyone: bool,
    /// The most memory that the process may use, in bytes.
    pub(crate) memory_max: u64,
    /// The settings of the worker, and its providers; `None` for a gateway.
    pub(crate) worker: Option<(WorkerSettings, Arc<ProviderRegistry>)>,
    /// The variables that hold the keys of providers.
    pub(crate) key_envs: Vec<String>,
    /// The name of the role. The process id begins with it.
    pub(crate) role: &'static str,
    /// Why jobs that name no model get simulated replies; `None` if they do not. The process logs it at its start.
    pub(crate) simulates: Option<Simulation>,
    /// How long running calls may take to finish after a signal.
    pub(crate) drain: Duration,
}

impl Plan {
    /// The most files that the process opens if all its slots and connections are in use.
    pub(crate) fn open_files(&self) -> u64 {
        let slots = self
            .worker
            .as_ref()
            .map_or(0, |(worker, _)| worker.concurrency);
        let gateway = self.gateway.as_ref();
        let connections = gateway.map_or(0, |gateway| gateway.connections_max);
        (slots + connections + OTHER_FILES_MAX) as u64
    }
}

/// Checks the settings and makes the plan.
///
/// # Errors
/// The first setting that is wrong, with the name of its variable.
pub(crate) fn plan(role: Option<Role>, settings: Settings) -> anyhow::Result<Plan> {
    let engine = engine::Choice::of(role, &settings)?;
    let traces = TraceSettings::read(&environment_variable)?;
    let memory_max = settings
        .memory_max
        .unwrap_or_else(memory_limit::default_memory_max);
    let memory = MemoryShares::of(memory_max);
    let roles = Roles {
        gateway: role != Some(Role::Worker),
        worker: role != Some(Role::Gateway),
    };
    anyhow::ensure!(
        roles.worker || !settings.test_drop_wakes,
        "FOREBAY_TEST_DROP_WAKES is for workers, and this process runs no jobs; unset it"
    );
    let metrics = Metrics::new(roles);
    let reply_budgets = ReplyBudgets {
        medium: memory.medium_replies.clone(),
        large: memory.large_replies.clone(),
    };
    let providers = Arc::new(providers(role, &settings, reply_budgets)?);
    let default_model = settings.model.clone().or_else(|| {
        let model = providers.default_model()?;
        // A gateway without provider settings does not know the providers of its workers.
        (engine.is_embedded() || model != simulated::NAME).then(|| model.to_owned())
    });
    let simulates =
        (default_model.as_deref() == Some(simulated::NAME)).then_some(match settings.model {
            Some(_) => Simulation::ByModel,
            None => Simulation::WithoutProvider,
        });
    let key_envs = providers.summaries().iter();
    let key_envs = key_envs.filter_map(|summary| summary.key_env());
    let key_envs = key_envs.map(str::to_owned).collect();
    if let Some(model) = &default_model {
        let (provider, model) = providers.names_of(model);
        metrics.calls.add_configured_model(&provider, &model);
    }
    let admin = settings.admin_listen.map(|listen| {
        let admin = AdminSettings {
            allowed_hosts: settings.allowed_hosts.clone().unwrap_or_default(),
            has_gateway: roles.gateway,
            has_worker: roles.worker,
            jobs_max: settings.backlog_max,
        };
        (listen, admin)
    });
    let worker = WorkerSettings {
        concurrency: to_usize(settings.concurrency),
        tries_max: u32::try_from(settings.tries_max).unwrap_or(u32::MAX),
        call_timeout_ms: settings.call_timeout_s * 1_000,
        drain_ms: settings.drain_s * 1_000,
        backoff_base_ms: settings.backoff_ms,
        backoff_max_ms: BACKOFF_MS_MAX,
        drops_wakes: settings.test_drop_wakes,
        loses_wakes: settings.test_lose_wakes,
        ..WorkerSettings::default()
    };
    let api_keys = if roles.gateway {
        api_keys(&settings)?
    } else {
        None
    };
    let body_bytes_max = to_usize(settings.body_bytes_max);
    let gateway = GatewaySettings {
        listen: settings.listen,
        api_keys,
        allowed_hosts: settings.allowed_hosts.unwrap_or_default(),
        allowed_origins: settings.allowed_origins.unwrap_or_default(),
        body_bytes_max,
        backlog_max: settings.backlog_max,
        default_model,
        model_accounts: model_accounts(&providers),
        session_ttl_ms: settings.session_ttl_s * 1_000,
        ..GatewaySettings::default()
    };
    let member = MemberSettings {
        presence_ttl_ms: settings.presence_ms,
        sessions_max: settings.sessions_max,
        memory,
        lanes: LaneSettings {
            session: SessionBounds {
                ttl_ms: settings.session_ttl_s * 1_000,
                turns_max: to_usize(settings.session_turns_max),
                turns_bytes_max: SESSION_TURNS_BYTES_MAX,
            },
            result_ttl_ms: settings.result_ttl_s * 1_000,
        },
        metrics,
    };
    Ok(Plan {
        log: LogSettings {
            filter: settings.log,
            format: settings.log_format,
        },
        traces,
        engine,
        admin,
        is_open_to_everyone: roles.gateway
            && settings.insecure_no_auth
            && !is_loopback(settings.listen),
        memory_max,
        member,
        gateway: roles.gateway.then_some(gateway),
        worker: roles.worker.then_some((worker, providers)),
        key_envs,
        role: match role {
            None => "forebay",
            Some(Role::Gateway) => "gateway",
            Some(Role::Worker) => "worker",
        },
        simulates,
        drain: Duration::from_secs(settings.drain_s),
    })
}

/// Reads the API keys. Without keys, only this machine may reach the gateway, unless `FOREBAY_INSECURE_NO_AUTH` is set.
fn api_keys(settings: &Settings) -> anyhow::Result<Option<Arc<ApiKeysFile>>> {
    if let Some(path) = &settings.api_keys_file {
        ensure!(
            !settings.insecure_no_auth,
            "FOREBAY_API_KEYS_FILE and FOREBAY_INSECURE_NO_AUTH exclude each other; unset one of them"
        );
        let keys = ApiKeysFile::open(path)
            .with_context(|| format!("FOREBAY_API_KEYS_FILE {}", path.display()))?;
        return Ok(Some(Arc::new(keys)));
    }
    let listen = settings.listen;
    ensure!(
        is_loopback(listen) || settings.insecure_no_auth,
        "FOREBAY_LISTEN {listen} can be reached from other machines, and there are no API keys: set FOREBAY_API_KEYS_FILE, \
         or set FOREBAY_INSECURE_NO_AUTH=true if something else decides who reaches the gateway"
    );
    Ok(None)
}

/// Whether only this machine reaches an address.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The accounts that the jobs of a model may wait for.
fn model_accounts(providers: &Arc<ProviderRegistry>) -> ModelAccounts {
    let providers = Arc::clone(providers);
    ModelAccounts::new(move |model| {
        let accounts = providers.account_names_of(model);
        let keys = accounts.iter().flat_map(CallAccounts::keys);
        keys.cloned().collect()
    })
}

/// Reads the settings of the providers, and the files that they name.
///
/// # Errors
/// The first setting that is wrong, with its name.
pub(crate) fn providers(
    role: Option<Role>,
    settings: &Settings,
    reply_budgets: ReplyBudgets,
) -> anyhow::Result<ProviderRegistry> {
    ProviderRegistry::new(ProviderSettings {
        openai_api_key: settings.openai_api_key.clone(),
        openai_base_url: settings.openai_base_url.clone(),
        gemini_api_key: settings.gemini_api_key.clone(),
        gemini_base_url: settings.gemini_base_url.clone(),
        simulated_latency: settings.simulated_latency_ms,
        http: HttpSettings {
            limits: HttpLimits {
                connect_ms: settings.connect_timeout_ms,
                first_byte_ms: settings.first_byte_timeout_ms,
                response_bytes_max: to_usize(settings.response_bytes_max),
            },
            proxies: match role {
                // A gateway makes no calls, so a proxy that cannot be used must not stop it.
                Some(Role::Gateway) => Proxies::default(),
                None | Some(Role::Worker) => Proxies::read(&environment_variable),
            },
            trusted: trusted_certificates(settings.ca_file.as_deref())?,
            reply_budgets,
            ..HttpSettings::default()
        },
        file: providers_file(settings.providers_file.as_deref())?,
    })
    .context("the providers cannot be set up")
}

/// The most bytes of a file that a setting names.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

fn providers_file(path: Option<&Path>) -> anyhow::Result<ProvidersFile> {
    let Some(path) = path else {
        return Ok(ProvidersFile::default());
    };
    let setting = || format!("FOREBAY_PROVIDERS_FILE {}", path.display());
    let text = read_file(path).with_context(setting)?;
    let text = String::from_utf8(text).with_context(setting)?;
    // The parser learns only whether a key is set. So a key file that cannot be read is reported here.
    let unreadable = RefCell::new(None);
    let variable = |name: &str| {
        secret_variable(name).unwrap_or_else(|error| {
            unreadable.replace(Some(error));
            None
        })
    };
    let parsed = ProvidersFile::parse(&text, &variable).with_context(setting);
    match unreadable.into_inner() {
        Some(error) => Err(error).with_context(setting),
        None => parsed,
    }
}

fn trusted_certificates(path: Option<&Path>) -> anyhow::Result<TrustedCertificates> {
    let Some(path) = path else {
        return Ok(TrustedCertificates::default());
    };
    let setting = || format!("FOREBAY_CA_FILE {}", path.display());
    let text = read_file(path).with_context(setting)?;
    TrustedCertificates::with_pem(&text).with_context(setting)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "has more than {FILE_BYTES_MAX} bytes"
    );
    Ok(bytes)
}

/// Reads an environment variable that has no flag, such as `HTTPS_PROXY`. Bytes that are not UTF-8 are replaced, so
/// that the caller refuses the value instead of ignoring it.
fn environment_variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned())
}

/// Converts a setting to a size. The upper bound of each such setting is far below `usize::MAX`.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_shared::account::AccountKey;
    use forebay_worker::provider::{ProviderRegistry, ProviderSettings};

    use super::model_accounts;

    #[test]
    fn a_gateway_without_keys_of_providers_knows_the_accounts_of_a_model() {
        let registry = ProviderRegistry::new(ProviderSettings::default());
        let registry = Arc::new(registry.expect("the registry is created"));
        let accounts = model_accounts(&registry).of("gpt-5");
        let expected = [
            AccountKey::of_provider("openai"),
            AccountKey::of_model("openai", "gpt-5"),
        ];
        assert_eq!(accounts, expected);
    }
}
