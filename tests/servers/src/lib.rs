//! Real Redis and RabbitMQ servers for tests, and real servers with OpenAI's API: LiteLLM's proxy and llama.cpp.
//!
//! A test starts the servers that it needs, on free ports and in temporary folders. The test may kill, pause and
//! restart these servers. A server ends when its handle is dropped, when the test panics, and when the test process is
//! killed. Servers that the test did not start are never touched. If a server's binary is missing, the error of the
//! start contains the command that installs it.
//!
//! This package does not depend on Forebay. Tests decide what Forebay's processes do with these servers.

pub mod litellm;
pub mod llama_cpp;
pub mod proxy;
pub mod rabbit;
pub mod redis;
pub mod tls;

mod binary;
mod guardian;
mod poll;
mod port;
mod process;
mod python;
mod stopped;
