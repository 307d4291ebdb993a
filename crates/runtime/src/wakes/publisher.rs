//! The loop that publishes wakes. [`Parks`] parks the timers of those that are confirmed, or for which the queue has no space.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::mpsc, time::timeout};

use super::{
    health::PublishHealth, parking::parked_until, parks::Parks, request::WakeRequest,
    surplus::Surplus,
};
use crate::gauge::Gauge;
use forebay_shared::{
    ids::SessionId,
    queue::{Queue, QueueError},
    store::{Store, TimerMove},
    wake::Wake,
};
use forebay_telemetry::{NewSpan, Span, SpanKind, TraceContext, job_names, messaging_names};

/// The most publishes in flight.
const BATCH_MAX: usize = 512;
/// A publish that is not confirmed within this time counts as failed.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// After this time without a request, an unconfirmed wake is published again. Its publish shows whether the queue has
/// recovered. Without it, a process that refuses submits would publish nothing. A duplicate wake is harmless.
const REPUBLISH_AFTER: Duration = Duration::from_secs(1);

/// The result of a publish.
#[derive(Clone, Copy)]
enum Published {
    /// The queue has confirmed the wake.
    Confirmed,
    /// The queue is full, or the wake was not published because ready heads of its class wait without a wake.
    NoSpace,
    /// The queue has not confirmed the wake.
    Unconfirmed,
}

/// The loop behind [`Wakes`](super::Wakes). It ends when every handle is dropped.
pub struct WakePublisher {
    pub(super) requests: mpsc::Receiver<WakeRequest>,
    pub(super) health: Arc<PublishHealth>,
    pub(super) surplus: Arc<Surplus>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) store: Arc<dyn Store>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) parks: Arc<Parks>,
}

impl WakePublisher {
    /// Publishes the requested wakes, batch by batch, and parks their timers unless the queue has not confirmed a wake.
    pub async fn run(self) {
        let parks = Arc::clone(&self.parks);
        tokio::select! {
            () = self.publish() => {}
            () = parks.run() => {}
        }
        parks.flush().await;
    }

    async fn publish(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut unconfirmed = None;
        while self.fill(&mut batch, &mut unconfirmed).await {
            let published = self.publish_all(&batch).await;
            let mut moves = Vec::new();
            for (request, published) in batch.drain(..).zip(published) {
                match published {
                    Published::Confirmed | Published::NoSpace => {
                        moves.push(self.parked_timer(&request));
                    }
                    Published::Unconfirmed => unconfirmed = Some(request),
                }
            }
            self.parks.add(moves);
        }
    }

    /// Fills the batch with requests. If none arrives for a while, takes the last unconfirmed request again. Returns
    /// `false` when every handle is dropped.
    async fn fill(
        &mut self,
        batch: &mut Vec<WakeRequest>,
        unconfirmed: &mut Option<WakeRequest>,
    ) -> bool {
        let receive = self.requests.recv_many(batch, BATCH_MAX);
        let received = match unconfirmed {
            None => receive.await,
            Some(_) => timeout(REPUBLISH_AFTER, receive)
                .await
                .unwrap_or_else(|_elapsed| {
                    batch.extend(unconfirmed.take());
                    batch.len()
                }),
        };
        // The old wake is not needed any more: the publishes of this batch show whether the queue has recovered.
        *unconfirmed = None;
        received > 0
    }

    /// Publishes a batch. Returns the result of each publish.
    async fn publish_all(&self, batch: &[WakeRequest]) -> Vec<Published> {
        join_all(batch.iter().map(|request| self.publish_one(request))).await
    }

    async fn publish_one(&self, request: &WakeRequest) -> Published {
        let class = request.wake.class;
        if !request.is_refill && self.surplus.exists(class) && self.queue.space(class).is_some() {
            return Published::NoSpace;
        }
        let span = send_span(&request.wake);
        let wake = sent_by(&span, &request.wake);
        let wake = wake.as_deref().unwrap_or(&request.wake);
        let result = timeout(CONFIRM_TIMEOUT, self.queue.publish(wake)).await;
        let is_confirmed = matches!(result, Ok(Ok(())));
        let is_full = matches!(result, Ok(Err(QueueError::Full)));
        // A full queue is healthy.
        if !is_full {
            self.health.record(is_confirmed);
        }
        if is_confirmed {
            return Published::Confirmed;
        }
        if is_full && self.queue.space(class).is_some() {
            span.fail("queue_full");
            self.surplus.record(class);
            return Published::NoSpace;
        }
        span.fail("not_confirmed");
        tracing::debug!(
            job_id = %request.wake.job,
            session_id = request.wake.session.as_ref().map(SessionId::as_str),
            "a wake was not confirmed"
        );
        Published::Unconfirmed
    }

    fn parked_timer(&self, request: &WakeRequest) -> TimerMove {
        let until = parked_until(&self.gauge, request.wake.class, self.store.now());
        TimerMove {
            job: request.wake.job,
            from: request.timer,
            to: until.min(request.deadline),
        }
    }
}

/// The span of a wake that belongs to a trace.
fn send_span(wake: &Wake) -> Span {
    if !Span::is_exported() {
        return Span::NONE;
    }
    let trace = wake.traceparent.as_deref().and_then(TraceContext::parse);
    if trace.is_none() {
        return Span::NONE;
    }
    let span =
        Span::start(|| NewSpan::new(SpanKind::Producer, job_names::WAKE_SPAN).child_of(trace));
    if span.is_recording() {
        span.set(job_names::JOB_ID, wake.job.to_string());
        span.set(job_names::CLASS, wake.class.to_string());
        span.set_message(messaging_names::SEND, wake.class.to_string());
    }
    span
}

/// The wake as the span sends it; `None` without a span. The attempt that the wake starts links to this span. Boxed, because many
/// wakes are published at once, and most have no span.
fn sent_by(span: &Span, wake: &Wake) -> Option<Box<Wake>> {
    let context = span.context()?;
    Some(Box::new(Wake {
        traceparent: Some(context.to_string()),
        ..wake.clone()
    }))
}
