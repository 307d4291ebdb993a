//! An installation of Forebay over one of the two engines. Its provider `openai` is a scripted server.

use e2e::{
    client::Client,
    fleet::{Fleet, TIMEOUT},
    process::{Builder, Forebay},
};
use scripted_provider::ScriptedLlm;
use tempfile::TempDir;

/// The model of the jobs that name none. Its provider is `openai`.
pub(crate) const MODEL: &str = "gpt-test";

/// Generates two tests for each test function, one for each engine. The function gets the engine as its argument.
macro_rules! for_both_engines {
    ($($(#[$attribute:meta])* $test:ident),* $(,)?) => {
        mod embedded {
            $($(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::installation::Engine::Embedded).await;
            })*
        }
        mod fleet {
            $($(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::installation::Engine::Distributed).await;
            })*
        }
    };
}

/// The engine of an installation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// One process over the embedded engine.
    Embedded,
    /// A gateway and two workers over Redis and RabbitMQ.
    Distributed,
}

/// The running processes, and a client of them.
pub(crate) struct Installation {
    pub(crate) client: Client,
    processes: Processes,
}

enum Processes {
    Embedded(Box<Embedded>),
    Fleet(Box<Fleet>),
}

/// One process and its data folder.
struct Embedded {
    process: Forebay,
    builder: Builder,
    _folder: TempDir,
}

impl Installation {
    /// Starts the processes with these environment variables.
    pub(crate) async fn start(engine: Engine, openai: &ScriptedLlm, env: &[(&str, &str)]) -> Self {
        match engine {
            Engine::Embedded => {
                let folder = tempfile::tempdir().expect("the folder is created");
                let builder = Forebay::builder()
                    .openai(openai)
                    .env("FOREBAY_MODEL", MODEL);
                let builder = builder.data_dir(folder.path());
                let builder = env
                    .iter()
                    .fold(builder, |builder, (name, value)| builder.env(name, *value));
                let process = builder.start().await;
                Self {
                    client: Client::new(process.url()),
                    processes: Processes::Embedded(Box::new(Embedded {
                        process,
                        builder,
                        _folder: folder,
                    })),
                }
            }
            Engine::Distributed => {
                let fleet = Fleet::builder().openai(openai).gateways(1).workers(2);
                let fleet = env
                    .iter()
                    .fold(fleet, |fleet, (name, value)| fleet.env(name, *value));
                let fleet = fleet.start().await;
                Self {
                    client: fleet.client.clone(),
                    processes: Processes::Fleet(Box::new(fleet)),
                }
            }
        }
    }

    /// Ends each process that has a worker with SIGTERM and starts it again, one after the other.
    pub(crate) async fn restart_workers(&mut self) {
        match &mut self.processes {
            Processes::Embedded(embedded) => {
                embedded.process.sigterm();
                embedded.process.wait_exit(TIMEOUT).await;
                embedded.process = embedded.builder.start().await;
                self.client.set_url(embedded.process.url());
            }
            Processes::Fleet(fleet) => {
                for worker in 0..fleet.workers.len() {
                    fleet.workers[worker].sigterm();
                    fleet.workers[worker].wait_exit(TIMEOUT).await;
                    fleet.restart_worker(worker).await;
                }
            }
        }
    }

    /// Loses the accounts of the providers: kills the process of the embedded engine with SIGKILL and starts it again, or
    /// deletes the accounts in Redis.
    pub(crate) async fn lose_accounts(&mut self) {
        match &mut self.processes {
            Processes::Embedded(embedded) => {
                embedded.process.kill9().await;
                embedded.process = embedded.builder.start().await;
                self.client.set_url(embedded.process.url());
            }
            Processes::Fleet(fleet) => {
                let deleted = fleet.redis.cli(&["DEL", "fb:accounts"]).await;
                assert_eq!(deleted.expect("Redis responds").trim(), "1");
            }
        }
    }

    /// The process ids of all processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        match &self.processes {
            Processes::Embedded(embedded) => vec![embedded.process.pid()],
            Processes::Fleet(fleet) => {
                let members = fleet.gateways.iter().chain(&fleet.workers);
                members.map(|member| member.pid()).collect()
            }
        }
    }

    /// The fleet; `None` over the embedded engine.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        match &self.processes {
            Processes::Embedded(_) => None,
            Processes::Fleet(fleet) => Some(fleet),
        }
    }
}
