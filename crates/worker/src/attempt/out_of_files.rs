//! The pause of a call that can open no connection, because the limit of open files is reached. Neither the job nor the
//! provider is at fault.

use std::time::Duration;

use forebay_runtime::log_limit::LogLimit;
use tokio::time::{Instant, sleep};

use crate::provider::Failure;

/// The shortest pause, in milliseconds. The pause is at most twice as long.
const PAUSE_MS_MIN: u64 = 250;

/// Limits the warnings of all calls of this process together.
static LOG_LIMIT: LogLimit = LogLimit::new(1, Duration::from_secs(10));

/// Waits, and returns `true` if the call can be repeated. Returns `false` at once if the deadline would pass meanwhile.
pub(super) async fn wait(failure: Failure, deadline: Instant) -> bool {
    if let Some(earlier_errors) = LOG_LIMIT.permit() {
        tracing::warn!(
            error = failure.error.message,
            earlier_errors,
            "no open file is left for a call of a provider: the call waits; raise the limit of open files (ulimit -n, \
             LimitNOFILE), or lower FOREBAY_CONCURRENCY"
        );
    }
    let pause = Duration::from_millis(PAUSE_MS_MIN + rand::random_range(0..PAUSE_MS_MIN));
    if Instant::now() + pause >= deadline {
        return false;
    }
    sleep(pause).await;
    true
}
