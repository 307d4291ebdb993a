//! A TCP proxy between a client and a server, to cut or stall the network between just these two.

mod link;
mod listener;

pub use listener::Proxy;
