//! The command line: flags and environment variables, each defined once with its default and help text.
//!
//! An invalid value ends the process before it opens anything. The error names the variable.

mod environment;
mod log_filter;
mod parse;
mod secret_files;

use std::{fmt, net::SocketAddr, path::PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use forebay_gateway::{AllowedHosts, AllowedOrigins};
use forebay_shared::secret::Secret;
use forebay_worker::provider::simulated::Latency;

use crate::{keys::KeysCommand, log::LogFormat};
pub(crate) use environment::UnknownVariable;
use parse::{integer_in, printable_word};
pub(crate) use secret_files::secret_variable;

/// A durable queue between an application and the LLM APIs it calls.
///
/// Without a command, one process runs the gateway and the worker. Without `AMQP_URL` and `REDIS_URL`
/// it uses an embedded database and needs no other server.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, max_term_width = 100)]
pub struct Cli {
    /// What to do. Without a command, one process runs the gateway and the worker.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// Reads the command line and the environment. An empty variable counts as unset. After an invalid value and after
    /// `--help`, the process ends here.
    #[must_use]
    pub fn read() -> Self {
        let matches = environment::ignore_empty(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The environment variables whose names begin like those of settings, and that are no settings. `key_envs` are the variables with
    /// keys of providers, which may have any name.
    pub(crate) fn unknown_variables(key_envs: &[String]) -> Vec<UnknownVariable> {
        let mut known = environment::names(&Self::command());
        known.extend(key_envs.iter().cloned());
        environment::unknown(&known, std::env::vars_os())
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve the HTTP API only. Requires AMQP_URL and REDIS_URL.
    Gateway,
    /// Run jobs only. Requires AMQP_URL and REDIS_URL.
    Worker,
    /// Call a model once, and report what is wrong if the call fails. Exits with 0 or 1.
    Check {
        /// The model, as in a job. Without it, the model of jobs that name none.
        #[arg(value_name = "MODEL")]
        checked_model: Option<String>,
    },
    /// Ask the process at FOREBAY_ADMIN_LISTEN, or at FOREBAY_LISTEN without it, whether it is healthy. Exits with 0 or 1.
    Health,
    /// Make, list or revoke API keys: asks the running process at FOREBAY_LISTEN, with the admin key in FOREBAY_ADMIN_KEY or in the
    /// file that FOREBAY_ADMIN_KEY_FILE names. Exits with 0, 1 or 2.
    Keys(KeysCommand),
}

/// What a process of a fleet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the HTTP API.
    Gateway,
    /// Runs the jobs.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        })
    }
}

/// All settings. Each is a flag and an environment variable.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The address and port of the HTTP API. Port 0 picks a free port.
    #[arg(long, env = "FOREBAY_LISTEN", global = true, default_value = "127.0.0.1:8080", value_parser = parse::listen)]
    pub listen: SocketAddr,

    /// A file of API keys, one in each line: `tenant:key`, or `tenant:key:scope,scope` with the scopes submit, read and admin.
    /// Without scopes, a key may submit and read. A line `[tenant] requests=100/60 live=50` limits a tenant. A change is used within 4
    /// seconds. Without this setting, the API needs no key, and FOREBAY_LISTEN must be a loopback address.
    #[arg(long, env = "FOREBAY_API_KEYS_FILE", global = true, value_parser = parse::file("FOREBAY_API_KEYS_FILE"))]
    pub api_keys_file: Option<PathBuf>,

    /// Allow requests without an API key from other machines. Set it only if something else decides who reaches the gateway.
    #[arg(
        long,
        env = "FOREBAY_INSECURE_NO_AUTH",
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean("FOREBAY_INSECURE_NO_AUTH")
    )]
    pub insecure_no_auth: bool,

    /// The host names and IP addresses, separated by commas, that the Host header of a request may have, in addition to
    /// localhost and loopback addresses. Without this setting: only these if FOREBAY_LISTEN is a loopback address, and
    /// otherwise any host, except in requests of a web page whose Origin names the same DNS name as its Host. `*` allows any host.
    #[arg(long, env = "FOREBAY_ALLOWED_HOSTS", global = true, value_parser = parse::allowed_hosts)]
    pub allowed_hosts: Option<AllowedHosts>,

    /// The origins of web pages, separated by commas, that may use the HTTP API, such as `https://app.example.com`.
    /// `*` allows any web page. Web pages that the gateway's own host serves need no entry here, but their host must be
    /// allowed (FOREBAY_ALLOWED_HOSTS).
    #[arg(long, env = "FOREBAY_ALLOWED_ORIGINS", global = true, value_parser = parse::allowed_origins)]
    pub allowed_origins: Option<AllowedOrigins>,

    /// The address and port of the admin listener: `/metrics`, `/healthz` and `/readyz`. Port 0 picks a free port. Without it,
    /// there is no admin listener. It has no access control, so keep it in a private network. It accepts any IP address as the
    /// Host; for DNS names, FOREBAY_ALLOWED_HOSTS applies.
    #[arg(long, env = "FOREBAY_ADMIN_LISTEN", global = true, value_parser = parse::admin_listen)]
    pub admin_listen: Option<SocketAddr>,

    /// For tests of the health check: the worker takes messages and runs no job.
    #[arg(long, env = "FOREBAY_TEST_DROP_WAKES", global = true, hide = true)]
    pub test_drop_wakes: bool,

    /// For tests of the health check: no message reaches the worker, although RabbitMQ has delivered it.
    #[arg(long, env = "FOREBAY_TEST_LOSE_WAKES", global = true, hide = true)]
    pub test_lose_wakes: bool,

    /// The folder of the embedded database, created if it does not exist. Only one process can use it
    /// at a time.
    #[arg(
        long,
        env = "FOREBAY_DATA_DIR",
        global = true,
        default_value = "forebay-data"
    )]
    pub data_dir: PathBuf,

    /// The model of jobs that name no model. Without it: the only model of the server at OPENAI_BASE_URL if that is not
    /// OpenAI's own, or of the only entry of FOREBAY_PROVIDERS_FILE. Without any provider: simulated.
    #[arg(long, env = "FOREBAY_MODEL", global = true, value_parser = printable_word("FOREBAY_MODEL"))]
    pub model: Option<String>,

    /// The most jobs that one worker runs at a time (its slots), 1 to 100000.
    #[arg(long, env = "FOREBAY_CONCURRENCY", global = true, default_value = "256", value_parser = integer_in("FOREBAY_CONCURRENCY", 1..=100_000))]
    pub concurrency: u64,

    /// How long the built-in provider `simulated` takes, in milliseconds: a number, or a range such as
    /// 2000-5000.
    #[arg(long, env = "FOREBAY_SIMULATED_LATENCY_MS", global = true, default_value = "250", value_parser = parse::latency)]
    pub simulated_latency_ms: Latency,

    /// How long a session without live jobs is kept after its last use, in seconds, 1 to 31536000.
    #[arg(long, env = "FOREBAY_SESSION_TTL_S", global = true, default_value = "86400", value_parser = integer_in("FOREBAY_SESSION_TTL_S", 1..=31_536_000))]
    pub session_ttl_s: u64,

    /// The most sessions kept, 1 to 1000000000. The least recently used are evicted first, never those
    /// with live jobs. No limit by default.
    #[arg(long, env = "FOREBAY_SESSIONS_MAX", global = true, value_parser = integer_in("FOREBAY_SESSIONS_MAX", 1..=1_000_000_000))]
    pub sessions_max: Option<u64>,

    /// The most messages kept of one session, 2 to 10000. The oldest are dropped first.
    #[arg(long, env = "FOREBAY_SESSION_TURNS_MAX", global = true, default_value = "200", value_parser = integer_in("FOREBAY_SESSION_TURNS_MAX", 2..=10_000))]
    pub session_turns_max: u64,

    /// How long an ended job is kept, in seconds, 1 to 31536000. A job with an idempotency key is kept
    /// at least as long as its key, 24 hours from the submit.
    #[arg(long, env = "FOREBAY_RESULT_TTL_S", global = true, default_value = "86400", value_parser = integer_in("FOREBAY_RESULT_TTL_S", 1..=31_536_000))]
    pub result_ttl_s: u64,

    /// The most live jobs, 1 to 100000000. At this number submits get 503 with Retry-After. At most half of them may wait for one
    /// provider or one model.
    #[arg(long, env = "FOREBAY_BACKLOG_MAX", global = true, default_value = "100000", value_parser = integer_in("FOREBAY_BACKLOG_MAX", 1..=100_000_000))]
    pub backlog_max: u64,

    /// The most tries of a job, 1 to 100. A try is a provider call. Calls do not count if a provider that throttles or is
    /// away refused them, or if their worker stopped or was lost.
    #[arg(long, env = "FOREBAY_TRIES_MAX", global = true, default_value = "5", value_parser = integer_in("FOREBAY_TRIES_MAX", 1..=100))]
    pub tries_max: u64,

    /// The time limit of one provider call, in seconds, 1 to 1500.
    #[arg(long, env = "FOREBAY_CALL_TIMEOUT_S", global = true, default_value = "600", value_parser = integer_in("FOREBAY_CALL_TIMEOUT_S", 1..=1_500))]
    pub call_timeout_s: u64,

    /// The time limit for connecting to a provider, in milliseconds, 1 to 60000.
    #[arg(long, env = "FOREBAY_CONNECT_TIMEOUT_MS", global = true, default_value = "10000", value_parser = integer_in("FOREBAY_CONNECT_TIMEOUT_MS", 1..=60_000))]
    pub connect_timeout_ms: u64,

    /// The time limit for the first byte of a provider's response, in milliseconds, 1 to 1500000. A
    /// provider that does not stream sends it only when the whole reply is ready.
    #[arg(long, env = "FOREBAY_FIRST_BYTE_TIMEOUT_MS", global = true, default_value = "600000", value_parser = integer_in("FOREBAY_FIRST_BYTE_TIMEOUT_MS", 1..=1_500_000))]
    pub first_byte_timeout_ms: u64,

    /// The most bytes of a provider's response, 1024 to 1073741824.
    #[arg(long, env = "FOREBAY_RESPONSE_BYTES_MAX", global = true, default_value = "16777216", value_parser = integer_in("FOREBAY_RESPONSE_BYTES_MAX", 1_024..=1_073_741_824))]
    pub response_bytes_max: u64,

    /// The pause after a job's first failed try, in milliseconds, 1 to 60000. It doubles with each
    /// further failure, up to a minute, and is jittered. A longer Retry-After of the provider replaces
    /// it.
    #[arg(long, env = "FOREBAY_BACKOFF_MS", global = true, default_value = "1000", value_parser = integer_in("FOREBAY_BACKOFF_MS", 1..=60_000))]
    pub backoff_ms: u64,

    /// How long a worker's calls may continue after SIGTERM, in seconds, 0 to 1500. The process exits at
    /// most 4 seconds later.
    #[arg(long, env = "FOREBAY_DRAIN_S", global = true, default_value = "25", value_parser = integer_in("FOREBAY_DRAIN_S", 0..=1_500))]
    pub drain_s: u64,

    /// How long a process counts as alive after it has renewed its presence in the store, in
    /// milliseconds, 300 to 60000. A process renews its presence every second, or three times in this
    /// period if that is more often.
    #[arg(long, env = "FOREBAY_PRESENCE_MS", global = true, default_value = "3000", value_parser = integer_in("FOREBAY_PRESENCE_MS", 300..=60_000))]
    pub presence_ms: u64,

    /// The most bytes of a request body, 1024 to 104857600. A larger body gets 413.
    #[arg(long, env = "FOREBAY_BODY_BYTES_MAX", global = true, default_value = "10485760", value_parser = integer_in("FOREBAY_BODY_BYTES_MAX", 1_024..=104_857_600))]
    pub body_bytes_max: u64,

    /// The most memory that jobs, requests and responses may take, in bytes or with a suffix: 64MiB to
    /// 1024GiB. By default 70 % of the cgroup's memory limit, or half of the machine's memory without
    /// one.
    #[arg(long, env = "FOREBAY_MEMORY_MAX", global = true, value_parser = parse::memory_max)]
    pub memory_max: Option<u64>,

    /// The amqp: or amqps: URL of RabbitMQ. Set it together with REDIS_URL.
    #[arg(long, env = "AMQP_URL", global = true, hide_env_values = true, value_parser = parse::secret)]
    pub amqp_url: Option<Secret>,

    /// A PEM file of certificates to trust for an amqps: URL, in addition to the system's.
    #[arg(long, env = "AMQP_CA_FILE", global = true, value_parser = parse::file("AMQP_CA_FILE"))]
    pub amqp_ca_file: Option<PathBuf>,

    /// The redis: or rediss: URL of Redis. For a Redis Cluster, several URLs separated by commas. Set it
    /// together with AMQP_URL.
    #[arg(long, env = "REDIS_URL", global = true, hide_env_values = true, value_parser = parse::secret)]
    pub redis_url: Option<Secret>,

    /// A PEM file of certificates to trust for a rediss: URL, instead of the system's.
    #[arg(long, env = "REDIS_CA_FILE", global = true, value_parser = parse::file("REDIS_CA_FILE"))]
    pub redis_ca_file: Option<PathBuf>,

    /// The key of the OpenAI-compatible API. Only servers other than OpenAI's own can be used without it.
    #[arg(long, env = "OPENAI_API_KEY", global = true, hide_env_values = true, value_parser = parse::secret)]
    pub openai_api_key: Option<Secret>,

    /// The base URL of the OpenAI-compatible API, such as `http://127.0.0.1:11434/v1`.
    #[arg(
        long,
        env = "OPENAI_BASE_URL",
        global = true,
        default_value = "https://api.openai.com/v1"
    )]
    pub openai_base_url: String,

    /// The key of the Gemini API. Without it, jobs that use this API fail.
    #[arg(long, env = "GEMINI_API_KEY", global = true, hide_env_values = true, value_parser = parse::secret)]
    pub gemini_api_key: Option<Secret>,

    /// The base URL of the Gemini API.
    #[arg(
        long,
        env = "GEMINI_BASE_URL",
        global = true,
        default_value = "https://generativelanguage.googleapis.com/v1beta"
    )]
    pub gemini_base_url: String,

    /// A TOML file that names more providers.
    #[arg(long, env = "FOREBAY_PROVIDERS_FILE", global = true, value_parser = parse::file("FOREBAY_PROVIDERS_FILE"))]
    pub providers_file: Option<PathBuf>,

    /// A PEM file with certificates to trust for https: providers, in addition to the system's. A
    /// self-signed certificate must not be marked as a CA.
    #[arg(long, env = "FOREBAY_CA_FILE", global = true, value_parser = parse::file("FOREBAY_CA_FILE"))]
    pub ca_file: Option<PathBuf>,

    /// The log lines to write: a level (off, error, warn, info, debug, trace), or a list in the filter syntax of the Rust crate
    /// tracing-subscriber, such as `warn,forebay_worker=debug`. A filter that matches no log line is refused.
    #[arg(long, env = "FOREBAY_LOG", global = true, default_value = "info", value_parser = log_filter::check)]
    pub log: String,

    /// The format of log lines on standard error: text or json.
    #[arg(long, env = "FOREBAY_LOG_FORMAT", global = true, default_value = "text", value_parser = parse::log_format)]
    pub log_format: LogFormat,
}
