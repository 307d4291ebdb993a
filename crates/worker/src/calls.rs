//! Notices about the calls that this process makes: somebody else has ended a job of them.
//!
//! A notice is a hint to look, as any may be stale, and may be lost: each call looks from time to time
//! anyway (`attempt/watch.rs`).

use std::{sync::Arc, time::Duration};

use forebay_runtime::member::Member;
use forebay_shared::store::Topic;
use tokio::time::sleep;

use crate::table::Table;

/// The pause before notices are asked for again, once there are none any more.
const AGAIN: Duration = Duration::from_secs(1);
/// After a gap all calls look; so many at a time, with a pause between, to spare the store.
const AT_ONCE: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);

/// Passes the notices on, for as long as the future is polled.
pub(crate) async fn run(member: Arc<Member>, table: Arc<Table>) {
    loop {
        match member.store.watch(Topic::Calls(member.me.clone())).await {
            Ok(mut notices) => {
                // What came before this moment was not heard.
                for jobs in table.all().chunks(AT_ONCE) {
                    jobs.iter().for_each(|job| table.hint(*job));
                    sleep(PAUSE).await;
                }
                while let Some(job) = notices.next().await {
                    table.hint(job);
                }
                tracing::debug!("notices about calls ended");
            }
            Err(error) => tracing::debug!(%error, "no notices about calls"),
        }
        sleep(AGAIN).await;
    }
}
