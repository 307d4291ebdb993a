//! An installation of Forebay over one of the two engines. A test can kill and restart its processes.

use std::path::PathBuf;

use e2e::{
    client::Client,
    fleet::{Fleet, TIMEOUT},
    process::{Builder, Forebay},
};
use scripted_provider::ScriptedLlm;
use tempfile::TempDir;

use crate::{fixture::DATABASE, stored::Stored};

/// One process over the embedded engine, or a gateway and a worker over Redis and RabbitMQ.
pub(crate) enum Installation {
    Embedded(Box<Embedded>),
    Fleet(Box<Fleet>),
}

/// One process, and its data folder.
pub(crate) struct Embedded {
    process: Forebay,
    builder: Builder,
    client: Client,
    database: PathBuf,
    _folder: TempDir,
}

impl Installation {
    /// Starts one installation over each engine. Both call the provider `llm`.
    pub(crate) async fn start_each(llm: &ScriptedLlm) -> [Self; 2] {
        let folder = tempfile::tempdir().expect("the folder is created");
        let builder = Forebay::builder().openai(llm).env("FOREBAY_LOG", "debug");
        let builder = builder.env("FOREBAY_MODEL", "gpt-test");
        let builder = builder.data_dir(folder.path());
        let process = builder.start().await;
        let embedded = Embedded {
            client: Client::new(process.url()),
            process,
            builder,
            database: folder.path().join(DATABASE),
            _folder: folder,
        };
        let fleet = Fleet::builder().openai(llm).gateways(1).workers(1);
        let fleet = fleet.env("FOREBAY_LOG", "debug").start().await;
        [
            Self::Embedded(Box::new(embedded)),
            Self::Fleet(Box::new(fleet)),
        ]
    }

    pub(crate) fn client(&self) -> &Client {
        match self {
            Self::Embedded(embedded) => &embedded.client,
            Self::Fleet(fleet) => &fleet.client,
        }
    }

    pub(crate) fn stored(&self) -> Stored<'_> {
        match self {
            Self::Embedded(embedded) => Stored::Sqlite(embedded.database.clone()),
            Self::Fleet(fleet) => Stored::Redis(&fleet.redis),
        }
    }

    /// Kills all processes.
    pub(crate) async fn kill(&mut self) {
        match self {
            Self::Embedded(embedded) => embedded.process.kill9().await,
            Self::Fleet(fleet) => {
                fleet.gateways[0].kill9().await;
                fleet.workers[0].kill9().await;
            }
        }
    }

    /// Starts all processes again after [`Installation::kill`].
    pub(crate) async fn restart(&mut self) {
        match self {
            Self::Embedded(embedded) => {
                embedded.process = embedded.builder.start().await;
                embedded.client.set_url(embedded.process.url());
            }
            Self::Fleet(fleet) => {
                fleet.restart_gateway(0).await;
                fleet.restart_worker(0).await;
                fleet.wait_until_gateways_are_ready().await;
            }
        }
    }

    /// Waits until a process has logged this text since its start.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        match self {
            Self::Embedded(embedded) => embedded.process.wait_for_log(text, TIMEOUT).await,
            Self::Fleet(fleet) => tokio::select! {
                () = fleet.gateways[0].wait_for_log(text, TIMEOUT) => {}
                () = fleet.workers[0].wait_for_log(text, TIMEOUT) => {}
            },
        }
    }
}
