//! An HTTP server that does what a test tells it, faults of the connection included.
//!
//! It speaks HTTP/1.1 and HTTP/2 on the same port. Without TLS the client's first bytes select the version;
//! with TLS the handshake does (ALPN, RFC 7301). HTTP/1.1 is written by hand, because tests write raw bytes and
//! reset sockets; HTTP/2 is the `h2` library's.
//!
//! What an answer contains is the handler's business.

mod connections;
mod exchange;
mod handler;
mod http1;
mod http1_exchange;
mod http2;
mod http2_exchange;
mod message;
mod server;
mod socket;
mod wire;

pub use connections::{Connection, Connections};
pub use exchange::Exchange;
pub use h2::Reason;
pub use http::Version;
pub use message::{HttpRequest, Response};
pub use server::{HttpServer, HttpServerBuilder};
