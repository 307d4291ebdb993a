//! The metrics that only the binary knows: the role, the engine, its servers, the memory limit and the log.

use std::sync::Arc;

use forebay_metrics::sampled::{flag, number, one};
use forebay_runtime::member::Member;
use forebay_telemetry::export;

use crate::{engine::Engine, log};

/// Registers these metrics. `memory_max` is the memory limit in bytes.
pub(crate) fn register(member: &Member, engine: &Engine, role: &'static str, memory_max: u64) {
    let metrics = &member.metrics;
    let role = if role == "forebay" { "all" } else { role };
    let engine_name = engine.name();
    metrics.sampled_gauge(
        "forebay_process_info",
        "The role and the engine of the process",
        move || {
            let labels = vec![("role", role.into()), ("engine", engine_name.into())];
            vec![(labels, 1.0)]
        },
    );
    metrics.sampled_gauge(
        "forebay_memory_limit_bytes",
        "The most memory that jobs, requests and responses may take (FOREBAY_MEMORY_MAX)",
        move || one(Some(number(memory_max))),
    );
    metrics.sampled_counter(
        "forebay_log_lines_dropped",
        "Log lines that could not be written",
        || one(Some(number(log::dropped_lines()))),
    );
    if export::span_totals().is_some() {
        metrics.sampled_counter(
            "forebay_trace_spans_exported",
            "Spans that the collector of traces has accepted",
            || one(export::span_totals().map(|spans| number(spans.exported))),
        );
        metrics.sampled_counter(
            "forebay_trace_spans_lost",
            "Spans that were lost, because too many waited or the collector did not accept them",
            || one(export::span_totals().map(|spans| number(spans.lost))),
        );
    }
    let connections = engine.connections();
    metrics.sampled_counter(
        "forebay_connections_lost",
        "Connections to a server that were lost and opened again",
        move || {
            let servers = connections().into_iter();
            servers
                .map(|of| (vec![("server", of.server.into())], number(of.lost)))
                .collect()
        },
    );
    if engine_name == "distributed" {
        let (presence, queue) = (member.presence.clone(), Arc::clone(&member.queue));
        metrics.sampled_gauge(
            "forebay_connected",
            "Whether a server can be reached, as this process knows it",
            move || {
                let is_connected = [
                    ("redis", presence.is_current()),
                    ("rabbitmq", queue.is_connected()),
                ];
                is_connected
                    .map(|(server, is)| (vec![("server", server.into())], flag(is)))
                    .into()
            },
        );
    }
}
