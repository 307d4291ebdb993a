//! The jobs that this process works on.
//!
//! No two tasks of one process may work on the same job. An attempt takes an [`InFlightGuard`] first.
//! A wake of a job that already has a guard is acknowledged without an attempt. When the guard is dropped, also after a
//! panic, it removes the job.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_shared::ids::JobId;
use tokio::sync::Notify;

/// The jobs that this process works on: at most one for each slot of the worker, and the jobs that wait for tool results.
#[derive(Debug, Default)]
pub(crate) struct InFlightJobs {
    /// For each job, the notification of its attempt to check whether the job has ended.
    check_requests: Mutex<HashMap<JobId, Arc<Notify>>>,
}

/// Keeps a job in [`InFlightJobs`] until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    jobs: Arc<InFlightJobs>,
    job: JobId,
    check_request: Arc<Notify>,
}

impl InFlightJobs {
    /// Adds a job. `None` if it is already in flight.
    pub(crate) fn insert(self: &Arc<Self>, job: JobId) -> Option<InFlightGuard> {
        match self.lock().entry(job) {
            Entry::Occupied(_) => None,
            Entry::Vacant(entry) => {
                let check_request = Arc::clone(entry.insert(Arc::default()));
                Some(InFlightGuard {
                    jobs: Arc::clone(self),
                    job,
                    check_request,
                })
            }
        }
    }

    /// Whether the job is in flight.
    pub(crate) fn contains(&self, job: JobId) -> bool {
        self.lock().contains_key(&job)
    }

    /// Asks the attempt at the job, if there is one, to check whether the job has ended.
    pub(crate) fn request_check(&self, job: JobId) {
        if let Some(check_request) = self.lock().get(&job) {
            check_request.notify_one();
        }
    }

    /// All jobs in flight, in no order.
    pub(crate) fn all(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Notify>>> {
        self.check_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.jobs.lock().remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_shared::ids::{JobId, TenantId};

    use super::InFlightJobs;

    #[tokio::test]
    async fn a_job_is_in_flight_once_until_its_guard_is_dropped() {
        let jobs = Arc::new(InFlightJobs::default());
        let job = JobId::fresh(&TenantId::default(), None);
        let guard = jobs.insert(job).expect("the job is not in flight");
        assert!(jobs.insert(job).is_none());
        assert!(jobs.contains(job));
        assert_eq!(jobs.all(), [job]);
        // The request comes before anything waits for it.
        jobs.request_check(job);
        guard.check_requested().await;
        drop(guard);
        assert!(!jobs.contains(job));
        assert!(jobs.insert(job).is_some());
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_no_job_in_flight() {
        let jobs = Arc::new(InFlightJobs::default());
        let job = JobId::fresh(&TenantId::default(), None);
        let guard = jobs.insert(job).expect("the job is not in flight");
        let task = tokio::spawn(async move {
            let _guard = guard;
            panic!("on purpose");
        });
        assert!(task.await.expect_err("the task panics").is_panic());
        assert!(!jobs.contains(job));
    }
}
