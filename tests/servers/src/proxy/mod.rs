//! A TCP proxy between one client and one server. It cuts, stalls or delays the network between them.

mod connection;
mod listener;

pub use listener::Proxy;
