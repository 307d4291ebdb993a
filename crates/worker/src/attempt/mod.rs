//! One attempt at a job: claim it, call the provider, commit the outcome, acknowledge the message.
//!
//! - `run` is the sequence; `claim`, `call` and `settle` are its steps. `results_wait` runs instead of `call` while
//!   tool results are missing.
//! - `input_memory` reserves memory for large inputs before the claim, and reads them after it.
//! - `prepared_call` calls the provider; `out_of_files` pauses it while this process has no file left for the call; `watch` ends a
//!   call that is no longer needed.
//! - `attempt_spans` and `call_span` are the spans of an attempt and of its call, for traces.
//! - `wake_end` counts how a wake ended before a call.
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
