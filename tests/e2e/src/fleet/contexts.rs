//! What Redis itself holds of a session, read past Forebay.

use serde_json::Value;
use servers::redis::Reply;

use super::Fleet;
use crate::{client::id_of, order::SessionRun};

impl Fleet {
    /// The turns of a session as they lie in Redis. `job` is the id of any job of it, which tells the
    /// partition.
    ///
    /// # Panics
    /// When Redis cannot be asked, or holds something else than turns.
    pub async fn turns_in_redis(&self, session: &str, job: &str) -> Vec<Value> {
        let partition = job.get(4..6).expect("the id of a job");
        let key = format!("fb:{{{partition}}}:u:default/{session}");
        let turns = self.redis.command(&["LRANGE", &key, "0", "-1"]).await;
        let Reply::Array(turns) = turns.expect("the turns of a session") else {
            panic!("{key} is no list");
        };
        let turns = turns.iter().map(|turn| {
            let turn = turn.to_string();
            serde_json::from_str(&turn).unwrap_or_else(|error| panic!("{key}: {error}: {turn}"))
        });
        turns.collect()
    }

    /// Puts what Redis itself holds in the place of what the API said, for [`crate::order`] to check.
    ///
    /// # Panics
    /// As [`Fleet::turns_in_redis`] does.
    pub async fn as_in_redis(&self, run: &SessionRun) -> SessionRun {
        let job = run.jobs.first().expect("a job of the session");
        let turns = self.turns_in_redis(&run.session, id_of(job)).await;
        let mut run = run.clone();
        run.stored["turn_count"] = turns.len().into();
        run.stored["turns"] = turns.into();
        run
    }
}
