//! What Forebay's tests of whole processes stand on. The tests themselves are in `tests/`.
//!
//! - [`scripted`]: a scripted LLM server over real HTTP, with faults that really happen on the wire
//! - [`process`]: the real `forebay` binary as a child process, to be signalled, killed and read
//! - [`client`]: a client of Forebay's API that outlives a restart of what it talks to
//! - [`order`]: the checker of the promise that a session's turns never race
//! - [`fleet`]: gateways and workers over a real RabbitMQ and a real Redis of the test's own
//! - [`readme`]: the README's commands, programs and files, to be run as they stand there
//!
//! Everything here fails by a panic that says what was seen, as an assertion does.

pub mod client;
pub mod fleet;
pub mod order;
pub mod process;
pub mod readme;
pub mod scripted;
