//! Starts the export of traces before the first request, and sends the last spans before the exit.

use std::time::Duration;

use anyhow::Context;
use forebay_shared::ids::ProcessId;
use forebay_telemetry::export::{self, Service};

use crate::compose::Plan;

/// Starts the export, if the `OTEL_*` variables ask for it.
pub(crate) fn start(plan: &Plan, process: &ProcessId) -> anyhow::Result<()> {
    for ignored in &plan.traces.ignored {
        // The message names the variable, and does not show its value, which may be a secret.
        tracing::warn!("{ignored}; its value is ignored");
    }
    let Some(settings) = &plan.traces.settings else {
        return Ok(());
    };
    let name = service_name(plan.role);
    let service = Service {
        name: &name,
        instance: process.as_str(),
        version: env!("CARGO_PKG_VERSION"),
    };
    export::start(settings, service).context("traces cannot be exported")?;
    tracing::info!(collector = settings.collector(), "exporting traces");
    Ok(())
}

/// The name of the service that a process of this role belongs to, unless `OTEL_SERVICE_NAME` is set.
fn service_name(role: &str) -> String {
    match role {
        "forebay" => role.to_owned(),
        part => format!("forebay-{part}"),
    }
}

/// Sends the spans that have ended, at most for `timeout`.
pub(crate) async fn stop(timeout: Duration) {
    let stopping = tokio::task::spawn_blocking(move || export::stop(timeout));
    // An error means that the runtime stops, so there is nothing left to wait for.
    let _ = stopping.await;
}
