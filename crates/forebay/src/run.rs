//! A process from its start to its end: open, join, serve, wait for a signal, drain, leave.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use forebay_runtime::member::Member;
use forebay_shared::ids::ProcessId;
use forebay_worker::RELEASING_MS_MAX;
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{compose::Plan, engine::Engine, signals::Signals};

/// What a stop may take after the drain, in three steps of 4 s together; the README tells that number, and whoever
/// runs the process counts on it. The first step: the worker gives back what still runs, requests that are
/// under way are answered, the fleet is left.
const LEAVING: Duration = Duration::from_millis(RELEASING_MS_MAX + 500);
/// The second: the engine is closed. What it cannot hand over by then is as after a kill.
const CLOSING: Duration = Duration::from_millis(1_000);
/// The third: tasks that block end, or are left behind.
const ABANDONING: Duration = Duration::from_millis(500);

/// Why a process ended other than by a signal.
pub(crate) enum Failure {
    /// It never started: the settings, the data folder or the port do not allow it.
    Start(anyhow::Error),
    /// It ran, and something in it failed.
    Running(anyhow::Error),
}

/// Runs the plan until a signal ends it.
pub(crate) fn run(plan: Plan) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .context("the runtime did not start")
        .map_err(Failure::Start)?;
    let result = runtime.block_on(async {
        let me = ProcessId::fresh(plan.role);
        let engine = plan.engine.open(&me).await.map_err(Failure::Start)?;
        let result = serve(plan, &me, &engine).await;
        if timeout(CLOSING, engine.close()).await.is_err() {
            tracing::warn!("the engine was not closed in good order");
        }
        result
    });
    // What still runs has had its time; it must not keep the process.
    runtime.shutdown_timeout(ABANDONING);
    result
}

/// The parts of a process that end only when they are told to.
struct Parts {
    worker: Option<JoinHandle<()>>,
    gateway: Option<JoinHandle<()>>,
}

impl Parts {
    /// Waits until a part ends by itself, which none should; says which.
    async fn ended(&mut self) -> anyhow::Error {
        let (part, result) = tokio::select! {
            result = join(&mut self.worker) => ("worker", result),
            result = join(&mut self.gateway) => ("gateway", result),
        };
        match result {
            Ok(()) => anyhow::anyhow!("the {part} ended by itself"),
            Err(error) => anyhow::Error::new(error).context(format!("the {part} failed")),
        }
    }
}

/// Waits for a part; for ever, if the process has no such part.
async fn join(part: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match part {
        Some(part) => part.await,
        None => std::future::pending().await,
    }
}

async fn serve(plan: Plan, me: &ProcessId, engine: &Engine) -> Result<(), Failure> {
    let mut signals = Signals::listen()
        .context("signals cannot be received")
        .map_err(Failure::Start)?;
    let listener = match &plan.gateway {
        Some(settings) => Some(listen(settings.listen).await.map_err(Failure::Start)?),
        None => None,
    };
    let address = listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());

    let (store, queue) = (Arc::clone(&engine.store), Arc::clone(&engine.queue));
    let member = Arc::new(Member::join(me.clone(), store, queue, &plan.member));
    let (stop_gateway, stop_worker) = (CancellationToken::new(), CancellationToken::new());
    let mut parts = Parts {
        worker: None,
        gateway: None,
    };
    if let Some((settings, registry)) = plan.worker {
        let stop = stop_worker.clone();
        let run = forebay_worker::run(Arc::clone(&member), Arc::new(registry), settings, stop);
        parts.worker = Some(tokio::spawn(run));
    }
    if let (Some(listener), Some(settings)) = (listener, plan.gateway) {
        let stop = stop_gateway.clone();
        let run = forebay_gateway::serve(listener, Arc::clone(&member), settings, stop);
        parts.gateway = Some(tokio::spawn(run));
    }
    if plan.simulates {
        tracing::warn!("no key and no FOREBAY_MODEL: jobs that name no model are simulated");
    }
    match address {
        Some(address) => tracing::info!(process = %me, "listening on http://{address}"),
        None => tracing::info!(process = %me, "at work"),
    }

    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, drain_s = plan.drain.as_secs(), "stopping");
        }
        error = parts.ended() => return Err(Failure::Running(error)),
        () = engine.failed() => {
            return Err(Failure::Running(anyhow::anyhow!("the disk of the data folder failed")));
        }
        () = member.failed() => {
            return Err(Failure::Running(anyhow::anyhow!("a loop of this process panicked")));
        }
    }
    // The gateway goes on while the worker drains, so that clients can fetch what still ends.
    let stop = async {
        for (stop, part) in [(stop_worker, parts.worker), (stop_gateway, parts.gateway)] {
            stop.cancel();
            if let Some(part) = part
                && let Err(error) = part.await
            {
                tracing::error!(%error, "a part failed while it stopped");
            }
        }
        member.leave().await;
    };
    tokio::select! {
        result = timeout(plan.drain + LEAVING, stop) => {
            if result.is_err() {
                tracing::warn!("stopped with work unsettled; timers will see to it");
            }
        }
        signal = signals.next() => tracing::warn!(signal, "told twice: stopping at once"),
    }
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (FOREBAY_LISTEN)"))
}
