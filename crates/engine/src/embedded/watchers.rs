//! Who wants to be told of what, in this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use forebay_shared::{
    ids::JobId,
    store::{Notices, Topic},
};
use tokio::sync::mpsc;

/// Below this many topics nobody looks for those that are watched no more.
const TOPICS_MIN: usize = 1_024;

/// The watchers of each topic.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    topics: HashMap<Topic, Vec<mpsc::Sender<JobId>>>,
    /// With so many topics it is time to look for those that are watched no more.
    tidy_at: usize,
}

impl Watchers {
    /// Notices on a topic from now on.
    pub(super) fn watch(&self, topic: Topic) -> Notices {
        let (sender, notices) = Notices::channel();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.topics.len() >= state.tidy_at.max(TOPICS_MIN) {
            state.topics.retain(|_, watchers| {
                watchers.retain(|watcher| !watcher.is_closed());
                !watchers.is_empty()
            });
            // Twice what is left, so that tidying costs each watch a constant.
            state.tidy_at = state.topics.len() * 2;
        }
        let watchers = state.topics.entry(topic).or_default();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.push(sender);
        notices
    }

    /// Tells everyone who watches one of the topics. A watcher that does not keep up loses notices.
    pub(super) fn notify(&self, notices: &[(Topic, JobId)]) {
        if notices.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, job) in notices {
            if let Some(watchers) = state.topics.get_mut(topic) {
                watchers.retain(|watcher| {
                    let full = watcher.try_send(*job);
                    !matches!(full, Err(mpsc::error::TrySendError::Closed(_)))
                });
                if watchers.is_empty() {
                    state.topics.remove(topic);
                }
            }
        }
    }

    /// Ends all streams.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.topics.clear();
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::TenantId;

    use super::*;

    #[test]
    fn topics_that_nobody_watches_any_more_do_not_pile_up() {
        let watchers = Watchers::default();
        for _ in 0..10 * TOPICS_MIN {
            let job = JobId::fresh(&TenantId::default(), None);
            drop(watchers.watch(Topic::Job(job)));
        }
        assert!(watchers.state.lock().unwrap().topics.len() <= TOPICS_MIN);
    }
}
