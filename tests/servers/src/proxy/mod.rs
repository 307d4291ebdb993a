//! A TCP proxy in front of one server. It cuts, stalls or delays the network between the clients and the server.

mod connection;
mod listener;

pub use listener::Proxy;
