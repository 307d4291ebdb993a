//! The admin listener of a process of any role: `/metrics`, `/healthz` and `/readyz`. It is off unless an address is
//! set for it.
//!
//! It has connections and limits of its own, so that the metrics can be read even if all connections of the API are in use.

mod metrics;
mod probes;
mod state;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::Uri,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use forebay_runtime::{fleet_metrics::TimerOverdue, member::Member};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    panic_response::panic_response,
    problem::Problem,
    problem_code::ProblemCode,
    readiness::Requirements,
    request_context,
    router::method_not_allowed,
    server::{self, ServerLimits, WhenFull, is_loopback},
    web_guard::{self, AllowedHosts, AllowedOrigins, WebGuard},
};
use state::AdminState;

/// The most open connections. A further connection closes the oldest one, so that idle connections block no probe.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be idle. Scrapers whose interval is longer connect again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the writes of a response may be blocked because its client reads too slowly.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests may take to finish at the end of the process.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// The settings of the admin listener.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The hosts that requests may name, in addition to the names of this machine and all IP addresses. These are allowed because
    /// scrapers and probes use the address of a pod.
    pub allowed_hosts: AllowedHosts,
    /// Whether the process serves the HTTP API. A process that does not is ready only if its queue can be reached.
    pub has_gateway: bool,
    /// Whether the process runs jobs.
    pub has_worker: bool,
    /// The most live jobs: [`GatewaySettings::backlog_max`](crate::GatewaySettings::backlog_max).
    pub jobs_max: u64,
}

/// Serves the admin routes on `listener` until `stop` is cancelled. For a process with a gateway, also reads how long the earliest
/// due timer is overdue, which only the metrics need.
pub async fn serve_admin(
    listener: TcpListener,
    member: Arc<Member>,
    settings: AdminSettings,
    stop: CancellationToken,
) {
    let timer_overdue = TimerOverdue::default();
    member.register_process_metrics();
    if settings.has_worker {
        member.register_worker_metrics();
    }
    if settings.has_gateway {
        member.register_fleet_metrics(settings.jobs_max, timer_overdue.clone());
        member.register_account_metrics();
    }
    let store = Arc::clone(&member.store);
    let watch_timers = async {
        if settings.has_gateway {
            timer_overdue.watch(&*store).await;
        }
        std::future::pending::<()>().await;
    };
    let web_guard = WebGuard {
        hosts: settings.allowed_hosts.or_any_ip(),
        origins: AllowedOrigins::default(),
        can_allow_origins: false,
        is_loopback_listener: is_loopback(&listener),
    };
    let state = Arc::new(AdminState {
        member,
        requirements: Requirements {
            queue: !settings.has_gateway,
        },
        scrape: tokio::sync::Mutex::new(()),
    });
    let limits = ServerLimits {
        connections_max: CONNECTIONS_MAX,
        when_full: WhenFull::CloseOldest,
        idle_timeout: IDLE_TIMEOUT,
        head_timeout: HEAD_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        drain_time: DRAIN_TIME,
    };
    // The metrics of connections are about the API only.
    let connections = None;
    let router = router(state, web_guard);
    let serving = server::serve_router(listener, router, limits, connections, stop);
    tokio::select! {
        () = serving => {}
        () = watch_timers => {}
    }
}

async fn guard(State(rules): State<Arc<WebGuard>>, request: Request, next: Next) -> Response {
    web_guard::guard(&rules, request, async |request| next.run(request).await).await
}

fn router(state: Arc<AdminState>, web_guard: WebGuard) -> Router {
    Router::new()
        .route("/metrics", get(metrics::get))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(CatchPanicLayer::custom(panic_response))
        .layer(middleware::from_fn_with_state(Arc::new(web_guard), guard))
        .layer(middleware::from_fn(request_context::with_id))
}

async fn unknown_route(_uri: Uri) -> Problem {
    let detail =
        "the admin listener has /metrics, /healthz and /readyz; the API is at FOREBAY_LISTEN";
    Problem::new(ProblemCode::NotFound, detail)
}
