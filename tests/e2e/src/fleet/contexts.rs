//! Reads the turns of a session from Redis, without Forebay.

use serde_json::Value;
use servers::redis::RedisReply;

use super::Fleet;
use crate::{client::id_of, order::SessionRun};

impl Fleet {
    /// The turns of a session in Redis. `job` is the id of any job of the session. The id contains the
    /// partition, which is part of the session's key.
    ///
    /// # Panics
    /// If Redis does not answer, or the session's key contains anything but turns.
    pub async fn turns_in_redis(&self, session: &str, job: &str) -> Vec<Value> {
        let partition = job.get(4..6).expect("a job's id contains its partition");
        let key = format!("fb:{{{partition}}}:u:default/{session}");
        let turns = self.redis.command(&["LRANGE", &key, "0", "-1"]).await;
        let RedisReply::Array(turns) = turns.expect("Redis returns the turns") else {
            panic!("{key} is not a list");
        };
        let turns = turns.iter().map(|turn| {
            let turn = turn.to_string();
            serde_json::from_str(&turn).unwrap_or_else(|error| panic!("{key}: {error}: {turn}"))
        });
        turns.collect()
    }

    /// The same run, but with the turns in Redis instead of the turns that the API returned. [`crate::order`] can check both.
    ///
    /// # Panics
    /// If [`Fleet::turns_in_redis`] panics, or the session has no job.
    pub async fn with_turns_in_redis(&self, run: &SessionRun) -> SessionRun {
        let job = run.jobs.first().expect("the session has a job");
        let turns = self.turns_in_redis(&run.session, id_of(job)).await;
        let mut run = run.clone();
        run.stored["turn_count"] = turns.len().into();
        run.stored["turns"] = turns.into();
        run
    }
}
