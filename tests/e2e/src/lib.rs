//! The tools of Forebay's tests of whole processes. The tests themselves are in `tests/`.
//!
//! - [`process`]: the real `forebay` binary as a child process, with its signals and its log
//! - [`client`]: a client of Forebay's API that retries while a process restarts
//! - [`collector`]: a collector of traces; [`trace_tree`]: the check that a job has one trace
//! - [`order`]: the check that the turns of a session never race
//! - [`fleet`]: gateways and workers over real RabbitMQ and Redis servers
//! - [`flood`]: clients that submit as fast as they get answers
//! - [`fake_clock`]: a system clock that a test sets while processes run
//! - [`files`]: a search in the files of a folder
//! - [`keys_command`]: `forebay keys`
//! - [`expected_times`]: the check that the expected times of jobs are right under a load near the capacity
//! - [`slow_clients`]: the check that clients which send one byte a second do not slow down a normal one
//! - [`slowdown`]: how busy the machine is, for bounds on times
//! - [`metrics`]: the metrics of a process, and promtool
//! - [`python`]: the Python interpreter with the packages that tests need
//! - [`random_requests`]: requests from the OpenAPI document
//! - [`open_files`]: raises the limit of open files
//! - [`readme`]: the README's commands, programs and files, for tests that run them
//! - [`session_defaults`]: the check that a session's defaults reach the provider
//!
//! The LLM provider of these tests is the package `scripted-provider`. Most functions of this package panic when they
//! fail. The message of the panic shows what the processes answered or logged.

pub mod client;
pub mod collector;
pub mod expected_times;
pub mod fake_clock;
pub mod files;
pub mod fleet;
pub mod flood;
pub mod keys_command;
pub mod metrics;
pub mod open_files;
pub mod order;
pub mod process;
pub mod python;
pub mod random_requests;
pub mod readme;
pub mod session_defaults;
pub mod slow_clients;
pub mod slowdown;
pub mod trace_tree;
