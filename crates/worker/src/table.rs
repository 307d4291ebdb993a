//! The process's own table of the jobs it is at work on.
//!
//! No two tasks of one process work on one job: whoever begins notes it here first, and a message for a
//! job that stands here is dropped. A note is taken back when its task ends, however it ends.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_shared::ids::JobId;
use tokio::sync::Notify;

/// The jobs that this process is at work on. Its size is bounded by the worker's slots.
#[derive(Debug, Default)]
pub(crate) struct Table {
    jobs: Mutex<HashMap<JobId, Arc<Notify>>>,
}

/// A job's place in the table, until this is dropped.
#[derive(Debug)]
pub(crate) struct Note {
    table: Arc<Table>,
    job: JobId,
    look: Arc<Notify>,
}

impl Table {
    /// Notes a job; `None` if it stands there already.
    pub(crate) fn note(self: &Arc<Self>, job: JobId) -> Option<Note> {
        match self.jobs().entry(job) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                let look = Arc::clone(place.insert(Arc::default()));
                Some(Note {
                    table: Arc::clone(self),
                    job,
                    look,
                })
            }
        }
    }

    /// Whether the job stands there.
    pub(crate) fn holds(&self, job: JobId) -> bool {
        self.jobs().contains_key(&job)
    }

    /// Tells whoever works on the job that something may have become of it.
    pub(crate) fn hint(&self, job: JobId) {
        if let Some(look) = self.jobs().get(&job) {
            look.notify_one();
        }
    }

    /// The jobs that stand there.
    pub(crate) fn all(&self) -> Vec<JobId> {
        self.jobs().keys().copied().collect()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Notify>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    /// The job.
    pub(crate) const fn job(&self) -> JobId {
        self.job
    }

    /// Waits for a hint that something may have become of the job.
    pub(crate) async fn hinted(&self) {
        self.look.notified().await;
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.table.jobs().remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_shared::ids::{JobId, TenantId};

    use super::Table;

    #[tokio::test]
    async fn a_job_stands_there_once_until_its_note_is_dropped() {
        let table = Arc::new(Table::default());
        let job = JobId::fresh(&TenantId::default(), None);
        let note = table.note(job).expect("the first");
        assert!(table.note(job).is_none());
        assert!(table.holds(job));
        assert_eq!(table.all(), [job]);
        // Before anybody waits for it: kept.
        table.hint(job);
        note.hinted().await;
        drop(note);
        assert!(!table.holds(job));
        assert!(table.note(job).is_some());
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_no_note() {
        let table = Arc::new(Table::default());
        let job = JobId::fresh(&TenantId::default(), None);
        let note = table.note(job).expect("the first");
        let task = tokio::spawn(async move {
            let _note = note;
            panic!("on purpose");
        });
        assert!(task.await.expect_err("it panicked").is_panic());
        assert!(!table.holds(job));
    }
}
