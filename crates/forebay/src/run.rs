//! Runs a process from start to exit: open the engine, join the fleet, serve, wait for a signal, drain, leave.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use forebay_metrics::metered_store::MeteredStore;
use forebay_runtime::member::Member;
use forebay_shared::ids::ProcessId;
use forebay_worker::RELEASING_MS_MAX;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{compose::Plan, engine::Engine, log, process_metrics, signals::Signals, traces};

// After the drain time a stop takes at most 4 s: the sum of LEAVE_TIMEOUT, CLOSE_TIMEOUT, RUNTIME_TIMEOUT and
// `log::output::FLUSH_TIMEOUT`. README.md documents this sum, because the supervisor's kill timeout must be longer.
/// The timeout for releasing running jobs, finishing open requests and leaving the fleet.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(RELEASING_MS_MAX + 500);
/// The timeout for closing the engine and sending the last spans.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_000);
/// The part of [`CLOSE_TIMEOUT`] for closing the engine. Wakes that the engine cannot send in this time are published again when
/// the timers of their jobs are due.
const ENGINE_TIMEOUT: Duration = Duration::from_millis(900);
/// The timeout for blocking tasks. Tasks that still run after it are abandoned.
const RUNTIME_TIMEOUT: Duration = Duration::from_millis(300);

/// Why a process ended without a signal.
pub(crate) enum RunError {
    /// The process could not start, because of its settings, its data folder or its port.
    Start(anyhow::Error),
    /// The process started, and a part of it failed later.
    Running(anyhow::Error),
}

/// Runs the plan until a signal stops the process.
pub(crate) fn run(plan: Plan) -> Result<(), RunError> {
    let runtime = tokio::runtime::Runtime::new()
        .context("the async runtime could not be started")
        .map_err(RunError::Start)?;
    let result = runtime.block_on(async {
        let process = ProcessId::fresh(plan.role);
        traces::start(&plan, &process).map_err(RunError::Start)?;
        let engine = plan.engine.open(&process).await.map_err(RunError::Start)?;
        let result = serve(plan, &process, &engine).await;
        let closing_began = Instant::now();
        if timeout(ENGINE_TIMEOUT, engine.close()).await.is_err() {
            tracing::warn!(
                "the engine did not close in time; \
                 unsent job messages are published again when the timers of their jobs are due"
            );
        }
        // After the engine, because the wakes that it sends while it closes have spans too.
        let remaining = CLOSE_TIMEOUT.saturating_sub(closing_began.elapsed());
        traces::stop(remaining).await;
        result
    });
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    result
}

/// A part of the process: the worker, the gateway or the admin listener. It runs until its token is cancelled.
struct Part {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Part {
    fn start<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { name, stop, task }
    }

    /// Waits until the part ends without being stopped. Returns an error that names the part. Without a part, it
    /// waits for ever.
    async fn ended_early(part: &mut Option<Self>) -> anyhow::Error {
        match part {
            Some(part) => match (&mut part.task).await {
                Ok(()) => anyhow!("the {} ended unexpectedly", part.name),
                Err(error) => {
                    anyhow::Error::new(error).context(format!("the {} panicked", part.name))
                }
            },
            None => std::future::pending().await,
        }
    }

    /// Stops the part and waits until it has ended.
    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(part = self.name, %error, "a part of the process panicked while it stopped");
        }
    }
}

async fn serve(plan: Plan, process: &ProcessId, engine: &Engine) -> Result<(), RunError> {
    let mut signals = Signals::listen()
        .context("the process cannot receive signals")
        .map_err(RunError::Start)?;
    let listener = match &plan.gateway {
        Some(settings) => Some(listen(settings.listen, "FOREBAY_LISTEN").await?),
        None => None,
    };
    let admin = match plan.admin {
        Some((address, settings)) => {
            Some((listen(address, "FOREBAY_ADMIN_LISTEN").await?, settings))
        }
        None => None,
    };
    let address = listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());

    let (mut store, queue) = (Arc::clone(&engine.store), Arc::clone(&engine.queue));
    if admin.is_some() {
        let metrics = plan.member.metrics.store.clone();
        store = Arc::new(MeteredStore::new(store, metrics));
    }
    let member = Arc::new(Member::join(process.clone(), store, queue, &plan.member));
    let mut worker = plan.worker.map(|(settings, providers)| {
        log::providers(&providers);
        let member = Arc::clone(&member);
        Part::start("worker", |stop| {
            forebay_worker::run(member, providers, settings, stop)
        })
    });
    let api_keys = plan
        .gateway
        .as_ref()
        .and_then(|gateway| gateway.api_keys.as_ref());
    let api_keys_count = api_keys.map(|keys| keys.count());
    let mut gateway = listener.zip(plan.gateway).map(|(listener, settings)| {
        let member = Arc::clone(&member);
        Part::start("gateway", |stop| {
            forebay_gateway::serve(listener, member, settings, stop)
        })
    });
    let mut admin = admin.map(|(listener, settings)| {
        process_metrics::register(&member, engine, plan.role, plan.memory_max);
        if let Ok(address) = listener.local_addr() {
            tracing::info!("metrics and health on http://{address}");
        }
        let member = Arc::clone(&member);
        Part::start("admin listener", |stop| {
            forebay_gateway::serve_admin(listener, member, settings, stop)
        })
    });
    log::simulation(plan.simulates);
    if let Some(count) = api_keys_count {
        tracing::info!(keys = count, "requests need an API key");
    }
    if plan.is_open_to_everyone
        && let Some(address) = address
    {
        log::open_to_everyone(address);
    }
    match address {
        Some(address) => tracing::info!(%process, "listening on http://{address}"),
        None => tracing::info!(%process, "worker started"),
    }

    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, drain_s = plan.drain.as_secs(), "stopping");
            member.begin_stop();
        }
        error = Part::ended_early(&mut worker) => return Err(RunError::Running(error)),
        error = Part::ended_early(&mut gateway) => return Err(RunError::Running(error)),
        error = Part::ended_early(&mut admin) => return Err(RunError::Running(error)),
        () = engine.failed() => {
            return Err(RunError::Running(anyhow!("the disk of FOREBAY_DATA_DIR failed")));
        }
        () = member.failed() => {
            return Err(RunError::Running(anyhow!("a background loop panicked")));
        }
    }
    let stopping = async {
        // The gateway serves requests while the worker drains, so that clients can fetch the results.
        for part in [worker, gateway].into_iter().flatten() {
            part.stop().await;
        }
        member.leave().await;
        if let Some(admin) = admin {
            admin.stop().await;
        }
    };
    tokio::select! {
        result = timeout(plan.drain + LEAVE_TIMEOUT, stopping) => {
            if result.is_err() {
                tracing::warn!("the stop timed out; unfinished jobs run again when their timers are due");
            }
        }
        signal = signals.next() => tracing::warn!(signal, "second signal: exiting at once"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens a listener. `setting` names the setting with its address.
async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({setting})"))
        .map_err(RunError::Start)
}
