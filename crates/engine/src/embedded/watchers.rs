//! Delivers notices to the watchers in this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use forebay_shared::{
    ids::JobId,
    store::{Notices, Topic},
};
use tokio::sync::mpsc;

/// [`Watchers::watch`] searches for topics without watchers only when there are at least this many topics.
const CLEANUP_TOPICS_MIN: usize = 1_024;

/// The watchers of each topic.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    topics: Mutex<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    senders: HashMap<Topic, Vec<mpsc::Sender<JobId>>>,
    /// The number of topics at which [`Watchers::watch`] next deletes the topics without watchers.
    cleanup_at: usize,
}

impl Watchers {
    /// Starts a stream of notices on a topic.
    pub(super) fn watch(&self, topic: Topic) -> Notices {
        let (sender, notices) = Notices::channel();
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.senders.len() >= topics.cleanup_at.max(CLEANUP_TOPICS_MIN) {
            topics.senders.retain(|_, watchers| {
                watchers.retain(|watcher| !watcher.is_closed());
                !watchers.is_empty()
            });
            // The next cleanup waits until the number of topics has doubled. So a cleanup costs little for each call of
            // `watch`, on average.
            topics.cleanup_at = topics.senders.len() * 2;
        }
        let watchers = topics.senders.entry(topic).or_default();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.push(sender);
        notices
    }

    /// Sends notices to the watchers of their topics. A watcher whose stream is full loses the notice.
    pub(super) fn notify(&self, notices: &[(Topic, JobId)]) {
        if notices.is_empty() {
            return;
        }
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, job) in notices {
            if let Some(watchers) = topics.senders.get_mut(topic) {
                watchers.retain(|watcher| {
                    let sent = watcher.try_send(*job);
                    !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
                });
                if watchers.is_empty() {
                    topics.senders.remove(topic);
                }
            }
        }
    }

    /// Ends all streams.
    pub(super) fn stop(&self) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.senders.clear();
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::TenantId;

    use super::*;

    #[test]
    fn abandoned_topics_are_deleted() {
        let watchers = Watchers::default();
        for _ in 0..10 * CLEANUP_TOPICS_MIN {
            let job = JobId::fresh(&TenantId::default(), None);
            drop(watchers.watch(Topic::Job(job)));
        }
        assert!(watchers.topics.lock().unwrap().senders.len() <= CLEANUP_TOPICS_MIN);
    }
}
