//! An HTTP server for tests. A handler answers each request, or makes the request's connection or stream fail.
//!
//! The server speaks HTTP/1.1 and HTTP/2 on the same port. Without TLS, the client's first bytes select the version. With TLS,
//! the handshake selects it (ALPN, RFC 7301). HTTP/1.1 is implemented here, because tests write raw bytes and
//! reset sockets. HTTP/2 uses the library `h2`.
//!
//! The server leaves the contents of responses to the handler.

mod connections;
mod exchange;
mod handler;
mod http1;
mod http1_exchange;
mod http2;
mod http2_exchange;
mod message;
mod port;
mod server;
mod socket;
mod wire;

pub use connections::{Connection, Connections};
pub use exchange::Exchange;
pub use h2::Reason;
pub use http::Version;
pub use message::{HttpRequest, Response};
pub use server::{HttpServer, HttpServerBuilder};
