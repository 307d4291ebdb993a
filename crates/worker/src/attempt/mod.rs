//! One attempt at a job: claim it, call the provider, commit the outcome, acknowledge the message.
//!
//! - `run` is the sequence; `claim`, `call` and `settle` are its steps. `results_wait` runs instead of `call` while
//!   tool results are missing.
//! - `permit` takes the permits of the call, or defers the job; `account_report` reports to the accounts how the call ended.
//! - `input_memory` reserves memory for large inputs before the claim, and reads them after it. `replaced_turns` leaves out the
//!   turns that the job replaces.
//! - `prepared_call` calls the provider; `out_of_files` pauses it while the limit of open files is reached; `watch` ends a call
//!   that is no longer needed.
//! - `attempt_spans` and `call_span` are the spans of an attempt and of its call, for traces.
//! - `wake_end` counts what became of a wake before a call; `attempt_end` counts how an attempt ended.
//! - `claimed_job` and `call_outcome` are the data that one step passes to the next.
//!
//! The commit publishes the wake of the lane's next head in the background. If the process ends in the
//! middle of an attempt, the job's timer leads to another attempt.
//!
//! A call takes seconds, and thousands run at once. So an attempt keeps little in memory while its call
//! runs: no data twice, and no data that only the claim or the commit needs.

mod account_report;
mod attempt_end;
mod attempt_spans;
mod call;
mod call_outcome;
mod call_span;
mod claim;
mod claimed_job;
mod input_memory;
mod out_of_files;
mod permit;
mod prepared_call;
mod replaced_turns;
mod results_wait;
mod run;
mod settle;
mod wake_end;
mod watch;

pub(crate) use run::run;
