//! Steps of the system's clock, under libfaketime: of a single process (`embedded`), and of the Redis server and the processes of
//! a fleet (`fleet`). The clock is set while a call runs, a retry waits, a client waits and a session is idle (`step`), or
//! while nothing runs (`restart`).

mod embedded;
mod fleet;
mod restart;
mod step;

/// The offsets to which each test sets a clock, in seconds, one after the other: a step back by an hour, forward by two hours, back by
/// three days and an hour, and forward by three days.
const OFFSETS_S: [i64; 4] = [-HOUR_S, HOUR_S, -3 * DAY_S, 0];
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// The pause before the second try of a job, in milliseconds.
const RETRY_MS: &str = "200";
