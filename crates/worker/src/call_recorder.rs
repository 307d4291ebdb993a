//! Records the calls of providers in the metrics.

use std::time::Duration;

use forebay_metrics::{
    Metrics,
    calls::{CallMetrics, EndedCall, Tokens},
    gateway::GaugeGuard,
};
use forebay_shared::job::Usage;
use tokio::time::Instant;

use crate::provider::{Answer, Failure, Provider, first_byte};

/// The error code of a call that was dropped before it ended, for example because its job was cancelled or the worker stops.
const CANCELLED: &str = "cancelled";

/// Records the calls of a worker.
pub(crate) struct CallRecorder {
    metrics: Metrics,
}

impl CallRecorder {
    pub(crate) const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Runs a call and records it. If this future is dropped, the call is recorded as cancelled.
    pub(crate) async fn record(
        &self,
        provider: &dyn Provider,
        model: &str,
        call: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        let _in_flight = GaugeGuard::new(&self.metrics.worker.calls_in_flight);
        let mut running = RunningCall {
            metrics: &self.metrics.calls,
            operation: provider.target().operation,
            provider: provider.name(),
            model,
            began: Instant::now(),
            has_ended: false,
        };
        let (result, first_byte) = first_byte::measured(call).await;
        let recorded = match &result {
            Ok(answer) => Ok(answer.usage.as_ref().map(tokens)),
            Err(failure) => Err(failure.error.code.as_str()),
        };
        running.end(first_byte, recorded);
        result
    }
}

/// A call that has begun. Dropping it before its end records it as cancelled.
struct RunningCall<'a> {
    metrics: &'a CallMetrics,
    operation: &'static str,
    provider: &'a str,
    model: &'a str,
    began: Instant,
    has_ended: bool,
}

impl RunningCall<'_> {
    fn end(&mut self, first_byte: Option<Duration>, result: Result<Option<Tokens>, &str>) {
        self.has_ended = true;
        self.metrics.record(&EndedCall {
            operation: self.operation,
            provider: self.provider,
            model: self.model,
            duration: self.began.elapsed(),
            first_byte,
            result,
        });
    }
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(None, Err(CANCELLED));
        }
    }
}

fn tokens(usage: &Usage) -> Tokens {
    Tokens {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cached_input: usage.cached_input_tokens,
        reasoning: usage.reasoning_tokens,
    }
}
