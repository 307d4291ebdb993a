//! The load of a fleet test: many sessions with many turns. Each session submits its next turn when the previous turn is
//! accepted. Each turn has its own idempotency key.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use super::Fleet;
use crate::{
    client::Client,
    order::{SessionRun, assert_in_order},
};

/// The most sessions that are read at the same time.
const READS_MAX: usize = 32;

/// The size of a load and its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of sessions, which submit concurrently.
    pub sessions: usize,
    /// The number of turns that each session submits. It must be at most half the number of messages that Forebay keeps
    /// of a session.
    pub turns: u64,
    /// The timeout of each submit and each wait. Only failing tests reach it.
    pub timeout: Duration,
}

/// The name of each session with the ids of its accepted jobs.
pub type Accepted = Vec<(String, Vec<String>)>;

impl Load {
    /// The number of jobs of all sessions together.
    #[must_use]
    pub const fn jobs(&self) -> u64 {
        self.sessions as u64 * self.turns
    }

    /// Starts submitting. [`JoinSet::join_all`] waits until all jobs are accepted.
    #[must_use]
    pub fn submit(&self, client: &Client) -> JoinSet<(String, Vec<String>)> {
        let mut sessions = JoinSet::new();
        let Self { turns, timeout, .. } = *self;
        for number in 0..self.sessions {
            let client = client.clone();
            sessions.spawn(async move {
                let session = format!("s-{number}");
                let ids = client
                    .submit_turns(&session, turns, &json!({}), timeout)
                    .await;
                (session, ids)
            });
        }
        sessions
    }

    /// Waits until all these jobs have ended. Asserts that they completed in order, that each reply lists all turns up
    /// to its own, and that each session in Redis contains exactly the accepted turns.
    ///
    /// # Panics
    /// If a job has not ended after the timeout, or an assertion fails.
    pub async fn assert_in_order(&self, fleet: &Fleet, accepted: Accepted) -> Vec<SessionRun> {
        let mut runs = JoinSet::new();
        let permits = Arc::new(Semaphore::new(READS_MAX));
        for (session, ids) in accepted {
            let (client, timeout) = (fleet.client.clone(), self.timeout);
            let permits = Arc::clone(&permits);
            runs.spawn(async move {
                let _permit = permits.acquire().await;
                SessionRun::fetch(&client, &session, &ids, timeout).await
            });
        }
        let runs = runs.join_all().await;
        assert_eq!(runs.len(), self.sessions);
        assert_in_order(&runs);
        let mut stored = Vec::new();
        for run in &runs {
            stored.push(fleet.with_turns_in_redis(run).await);
        }
        assert_in_order(&stored);
        runs
    }
}
