//! Real servers for tests. A test starts the ones it needs, on free ports and in a temporary folder; it
//! may kill, pause and restart them, and they are gone when their handle is dropped, when the test
//! panics, and when the whole test process is killed. No server that a test did not start is ever
//! touched. Where a server's binary is missing, the start fails and names the command that installs it.
//!
//! Knows nothing of Forebay: what its processes do with these servers is for the tests to say.

pub mod proxy;
pub mod rabbit;
pub mod redis;
pub mod tls;

mod binary;
mod guardian;
mod patience;
mod port;
mod process;
mod standstill;
