//! Measures when the first byte of a provider's answer arrived.
//!
//! The time is kept in a task-local variable and not in the [`Call`](super::Call), so that only the HTTP client and the worker's
//! metrics know of it. A provider without HTTP reports none.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

tokio::task_local! {
    static FIRST_BYTE: Cell<Option<Instant>>;
}

/// Runs a call, and returns the time to the first byte of its last answer, if one came.
pub(crate) async fn measured<T>(call: impl Future<Output = T>) -> (T, Option<Duration>) {
    let began = Instant::now();
    let call = async {
        let result = call.await;
        (result, FIRST_BYTE.with(Cell::get))
    };
    let (result, first_byte) = FIRST_BYTE.scope(Cell::new(None), call).await;
    (result, first_byte.map(|at| at.duration_since(began)))
}

/// Forgets the answer of an earlier request of the call. Does nothing outside of [`measured`].
pub(super) fn clear() {
    let _ = FIRST_BYTE.try_with(|first_byte| first_byte.set(None));
}

/// Records that the first byte of an answer has arrived. Does nothing outside of [`measured`].
pub(super) fn record() {
    let _ = FIRST_BYTE.try_with(|first_byte| first_byte.set(Some(Instant::now())));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::{clear, measured, record};

    #[tokio::test(start_paused = true)]
    async fn the_time_is_that_of_the_last_answer() {
        let call = async {
            sleep(Duration::from_millis(5)).await;
            record();
            sleep(Duration::from_millis(5)).await;
            record();
            sleep(Duration::from_millis(5)).await;
            "reply"
        };
        let (reply, first_byte) = measured(call).await;
        assert_eq!(reply, "reply");
        assert_eq!(first_byte, Some(Duration::from_millis(10)));
        record();
        assert_eq!(measured(async {}).await, ((), None));
    }

    #[tokio::test]
    async fn a_request_without_an_answer_has_no_time_although_an_earlier_one_had_an_answer() {
        let call = async {
            clear();
            record();
            clear();
        };
        assert_eq!(measured(call).await, ((), None));
    }
}
