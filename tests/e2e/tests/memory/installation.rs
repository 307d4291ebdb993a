//! Processes with a memory limit, over data with large sessions.

use e2e::{
    client::Client,
    fleet::{Fleet, TIMEOUT},
    process::{Builder, Forebay},
};
use tempfile::TempDir;

use crate::{provider::Provider, sizes::Sizes, work};

/// The settings of the processes that create the sessions. A session is created by one job.
const CREATING: [(&str, &str); 3] = [
    ("FOREBAY_MODEL", "simulated"),
    ("FOREBAY_SIMULATED_LATENCY_MS", "0"),
    ("FOREBAY_BODY_BYTES_MAX", "67108864"),
];

/// The engine of an installation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// One process over the embedded engine.
    Embedded,
    /// A gateway and a worker over Redis and RabbitMQ.
    Distributed,
}

/// The running processes, and a client of them.
pub(crate) struct Installation {
    pub(crate) client: Client,
    processes: Processes,
    /// The data of the embedded engine.
    _folder: Option<TempDir>,
    _provider: Provider,
}

enum Processes {
    Embedded(Box<Forebay>),
    Fleet(Box<Fleet>),
}

impl Installation {
    /// Creates the sessions with other processes, and starts processes with the limit.
    pub(crate) async fn start(engine: Engine, sizes: &Sizes, memory_max_bytes: u64) -> Self {
        let provider = Provider::start().await;
        let slots = sizes.sessions.to_string();
        let limited = [
            ("FOREBAY_MODEL", "gpt-test"),
            ("OPENAI_BASE_URL", provider.base_url.as_str()),
            ("OPENAI_API_KEY", "test-key"),
            ("FOREBAY_CONCURRENCY", slots.as_str()),
            // The default.
            ("FOREBAY_BODY_BYTES_MAX", "10485760"),
        ];
        match engine {
            Engine::Embedded => {
                let folder = tempfile::tempdir().expect("the folder is created");
                let builder = Forebay::builder().data_dir(folder.path());
                let mut creating = with_env(builder.clone(), &CREATING).start().await;
                work::create_sessions(&Client::new(creating.url()), sizes).await;
                creating.sigterm();
                creating.wait_exit(TIMEOUT).await;
                let builder = builder.memory_max_bytes(memory_max_bytes);
                let process = with_env(builder, &limited).start().await;
                Self {
                    client: Client::new(process.url()),
                    processes: Processes::Embedded(Box::new(process)),
                    _folder: Some(folder),
                    _provider: provider,
                }
            }
            Engine::Distributed => {
                let builder = Fleet::builder().gateways(1).workers(1);
                let builder = CREATING
                    .iter()
                    .fold(builder, |builder, (name, value)| builder.env(name, *value));
                let mut fleet = builder.start().await;
                work::create_sessions(&fleet.client, sizes).await;
                for member in fleet.gateways.iter_mut().chain(&mut fleet.workers) {
                    member.sigterm();
                    member.wait_exit(TIMEOUT).await;
                }
                fleet.set_memory_max_bytes(memory_max_bytes);
                fleet.add_gateway_with(&limited).await;
                fleet.add_worker_with(&limited).await;
                Self {
                    client: fleet.client.clone(),
                    processes: Processes::Fleet(Box::new(fleet)),
                    _folder: None,
                    _provider: provider,
                }
            }
        }
    }

    /// The most memory that each process with a limit has used, in bytes.
    pub(crate) fn memory_peaks_bytes(&self) -> Vec<(&'static str, u64)> {
        match &self.processes {
            Processes::Embedded(process) => vec![("the process", process.memory_peak_bytes())],
            Processes::Fleet(fleet) => {
                let peak = |members: &[e2e::fleet::Member]| {
                    let limited = members.last().expect("a process with a limit was started");
                    limited.memory_peak_bytes()
                };
                vec![
                    ("the gateway", peak(&fleet.gateways)),
                    ("the worker", peak(&fleet.workers)),
                ]
            }
        }
    }
}

fn with_env(builder: Builder, env: &[(&str, &str)]) -> Builder {
    env.iter()
        .fold(builder, |builder, (name, value)| builder.env(name, *value))
}
