//! The load that fleets are tried under: many sessions of many turns, submitted as fast as they are
//! accepted, each turn under an idempotency key.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use super::Fleet;
use crate::{
    client::Client,
    order::{SessionRun, assert_in_order},
};

/// How many sessions are read at a time.
const READ_AT_ONCE: usize = 32;

/// How many sessions of how many turns, and how long everything may take.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Sessions, which submit side by side.
    pub sessions: usize,
    /// Turns of each, which are submitted one after the other, each as soon as the one before is
    /// accepted. Half the bound on a session's kept messages at most.
    pub turns: u64,
    /// What only passes when the test fails.
    pub limit: Duration,
}

/// The ids of each session's jobs, once they are all accepted.
pub type Accepted = Vec<(String, Vec<String>)>;

impl Load {
    /// The jobs of all sessions together.
    #[must_use]
    pub const fn jobs(&self) -> u64 {
        self.sessions as u64 * self.turns
    }

    /// Begins to submit. [`JoinSet::join_all`] waits until everything is accepted.
    #[must_use]
    pub fn submit(&self, client: &Client) -> JoinSet<(String, Vec<String>)> {
        let mut sessions = JoinSet::new();
        let Self { turns, limit, .. } = *self;
        for n in 0..self.sessions {
            let client = client.clone();
            sessions.spawn(async move {
                let session = format!("s-{n}");
                let ids = client
                    .submit_turns(&session, turns, &json!({}), limit)
                    .await;
                (session, ids)
            });
        }
        sessions
    }

    /// Waits until all these jobs have ended, and checks that each has completed, in order, each reply
    /// made from all turns before it, and each context in Redis is exactly the accepted turns.
    ///
    /// # Panics
    /// With what is wrong.
    pub async fn assert_in_order(&self, fleet: &Fleet, accepted: Accepted) -> Vec<SessionRun> {
        let mut runs = JoinSet::new();
        let at_once = Arc::new(Semaphore::new(READ_AT_ONCE));
        for (session, ids) in accepted {
            let (client, limit) = (fleet.client.clone(), self.limit);
            let at_once = Arc::clone(&at_once);
            runs.spawn(async move {
                let _turn = at_once.acquire().await;
                SessionRun::fetch(&client, &session, &ids, limit).await
            });
        }
        let runs = runs.join_all().await;
        assert_eq!(runs.len(), self.sessions);
        assert_in_order(&runs);
        let mut stored = Vec::new();
        for run in &runs {
            stored.push(fleet.as_in_redis(run).await);
        }
        assert_in_order(&stored);
        runs
    }
}
