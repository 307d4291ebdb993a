//! The jobs that this process works on.
//!
//! No two tasks of one process may work on the same job. An attempt takes an [`InFlightGuard`] first. When the guard is
//! dropped, also after a panic, it removes the job.
//!
//! A wake of a job that already has a guard starts no attempt. The wake may be a duplicate, or it may report that the job can
//! run again: after a slow commit of a retry, the job may be due before the attempt has ended. So the job keeps its newest
//! wake. Unless the job has ended, the wake is delivered again when the guard is dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{
    ids::JobId,
    queue::{Delivery, Disposition, Queue},
    wake::Wake,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
};

/// The jobs that this process works on: at most one for each slot of the worker, and the jobs that wait for tool results.
pub(crate) struct InFlightJobs {
    jobs: Mutex<HashMap<JobId, InFlightJob>>,
    queue: Arc<dyn Queue>,
    /// Sends the newest wake that came during an attempt, once the attempt has ended.
    missed_wakes: mpsc::UnboundedSender<Delivery>,
}

#[derive(Debug, Default)]
struct InFlightJob {
    /// Notifies the attempt to check whether the job has ended.
    check_request: Arc<Notify>,
    /// The newest wake that came during the attempt. Boxed, because most jobs have none.
    missed_wake: Option<Box<Wake>>,
}

/// Keeps a job in [`InFlightJobs`] until it is dropped.
pub(crate) struct InFlightGuard {
    jobs: Arc<InFlightJobs>,
    job: JobId,
    check_request: Arc<Notify>,
}

impl InFlightJobs {
    /// No jobs in flight. Once an attempt has ended, the receiver gets the newest wake that came during it. A wake that the
    /// receiver does not acknowledge goes back into the queue.
    pub(crate) fn new(queue: Arc<dyn Queue>) -> (Self, mpsc::UnboundedReceiver<Delivery>) {
        let (missed_wakes, receiver) = mpsc::unbounded_channel();
        let jobs = Self {
            jobs: Mutex::default(),
            queue,
            missed_wakes,
        };
        (jobs, receiver)
    }

    /// Adds the job of a wake. If it is already in flight, returns `None` and keeps the wake.
    pub(crate) fn insert(self: &Arc<Self>, wake: &Wake) -> Option<InFlightGuard> {
        match self.lock().entry(wake.job) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().missed_wake = Some(Box::new(wake.clone()));
                None
            }
            Entry::Vacant(entry) => {
                let check_request = Arc::clone(&entry.insert(InFlightJob::default()).check_request);
                Some(InFlightGuard {
                    jobs: Arc::clone(self),
                    job: wake.job,
                    check_request,
                })
            }
        }
    }

    /// Keeps a wake if its job is in flight. Returns whether it is.
    pub(crate) fn keep_wake(&self, wake: &Wake) -> bool {
        match self.lock().get_mut(&wake.job) {
            Some(job) => {
                job.missed_wake = Some(Box::new(wake.clone()));
                true
            }
            None => false,
        }
    }

    /// Asks the attempt at the job, if there is one, to check whether the job has ended.
    pub(crate) fn request_check(&self, job: JobId) {
        if let Some(job) = self.lock().get(&job) {
            job.check_request.notify_one();
        }
    }

    /// All jobs in flight, in no order.
    pub(crate) fn all(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, InFlightJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlightGuard {
    /// The job that is in flight.
    pub(crate) const fn job(&self) -> JobId {
        self.job
    }

    /// Waits for a request to check the job. A request that came before this call counts too.
    pub(crate) async fn check_requested(&self) {
        self.check_request.notified().await;
    }

    /// Drops the guard of a job that has ended. Wakes that came during its attempt are not delivered again.
    pub(crate) fn drop_ended(self) {
        if let Some(job) = self.jobs.lock().get_mut(&self.job) {
            job.missed_wake = None;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let removed = self.jobs.lock().remove(&self.job);
        if let Some(wake) = removed.and_then(|job| job.missed_wake) {
            let delivery = redelivery(Arc::clone(&self.jobs.queue), *wake);
            // If the worker has stopped, the delivery is dropped, so its wake goes back into the queue.
            let _ = self.jobs.missed_wakes.send(delivery);
        }
    }
}

/// A delivery of a wake that was acknowledged in the queue. If it is requeued, the wake is published again. If this fails, the
/// job's timer leads to another wake.
fn redelivery(queue: Arc<dyn Queue>, wake: Wake) -> Delivery {
    Delivery::new(wake, move |wake, disposition| {
        if disposition == Disposition::Requeue
            && let Ok(runtime) = Handle::try_current()
        {
            let wake = wake.clone();
            runtime.spawn(async move {
                if let Err(error) = queue.publish(&wake).await {
                    tracing::debug!(job_id = %wake.job, %error, "a wake could not be requeued; the job's timer leads to another wake");
                }
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use forebay_shared::{
        class::Class,
        ids::{JobId, TenantId},
        queue::{Consumer, Delivery, Queue, QueueError},
        time::TimeMs,
        wake::Wake,
    };
    use tokio::sync::mpsc;

    use super::InFlightJobs;

    /// A queue that sends the published wakes to the test.
    struct PublishedWakes(mpsc::UnboundedSender<Wake>);

    #[async_trait]
    impl Queue for PublishedWakes {
        async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
            let sent = self.0.send(wake.clone());
            sent.map_err(|_| QueueError::Closed)
        }

        async fn consume(&self, _: Class, _: usize) -> Result<Box<dyn Consumer>, QueueError> {
            Err(QueueError::Closed)
        }

        async fn depth(&self, _: Class) -> Result<u64, QueueError> {
            Ok(0)
        }

        fn survives_restart(&self) -> bool {
            false
        }
    }

    /// No jobs in flight, the wakes that they miss, and the wakes that are published again.
    fn new_jobs() -> (
        Arc<InFlightJobs>,
        mpsc::UnboundedReceiver<Delivery>,
        mpsc::UnboundedReceiver<Wake>,
    ) {
        let (sender, published) = mpsc::unbounded_channel();
        let (jobs, missed) = InFlightJobs::new(Arc::new(PublishedWakes(sender)));
        (Arc::new(jobs), missed, published)
    }

    fn new_wake() -> Wake {
        let tenant = TenantId::default();
        Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            class: Class::Interactive,
            model: None,
            permit: None,
            admitted_at: TimeMs(1),
            sent_at: TimeMs(1),
            lane_copy: None,
            traceparent: None,
        }
    }

    #[tokio::test]
    async fn a_job_is_in_flight_once_until_its_guard_is_dropped() {
        let (jobs, ..) = new_jobs();
        let wake = new_wake();
        assert!(!jobs.keep_wake(&wake));
        let guard = jobs.insert(&wake).expect("the job should not be in flight");
        assert!(jobs.insert(&wake).is_none());
        assert!(jobs.keep_wake(&wake));
        assert_eq!(jobs.all(), [wake.job]);
        // The request comes before anything waits for it.
        jobs.request_check(wake.job);
        guard.check_requested().await;
        drop(guard);
        assert_eq!(jobs.all(), []);
        assert!(jobs.insert(&wake).is_some());
    }

    #[tokio::test]
    async fn the_newest_wake_of_an_attempt_is_delivered_after_it_unless_the_job_has_ended() {
        let (jobs, mut missed, _published) = new_jobs();
        let wake = new_wake();
        for has_ended in [true, false] {
            let guard = jobs.insert(&wake).expect("the job should not be in flight");
            for sent_at in [TimeMs(2), TimeMs(3)] {
                let later = Wake {
                    sent_at,
                    ..wake.clone()
                };
                assert!(jobs.insert(&later).is_none());
            }
            assert!(missed.try_recv().is_err());
            if has_ended {
                guard.drop_ended();
            } else {
                drop(guard);
                let newest = missed.try_recv().expect("the wake should be delivered");
                assert_eq!(newest.wake.sent_at, TimeMs(3));
                newest.ack();
            }
            assert!(missed.try_recv().is_err());
        }
    }

    #[tokio::test]
    async fn a_missed_wake_goes_back_into_the_queue_if_the_worker_has_stopped() {
        let (jobs, missed, mut published) = new_jobs();
        let wake = new_wake();
        let guard = jobs.insert(&wake).expect("the job should not be in flight");
        assert!(jobs.keep_wake(&wake));
        drop(missed);
        drop(guard);
        assert_eq!(published.recv().await, Some(wake));
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_no_job_in_flight() {
        let (jobs, ..) = new_jobs();
        let wake = new_wake();
        let guard = jobs.insert(&wake).expect("the job should not be in flight");
        let task = tokio::spawn(async move {
            let _guard = guard;
            panic!("on purpose");
        });
        assert!(task.await.expect_err("the task should panic").is_panic());
        assert_eq!(jobs.all(), []);
    }
}
