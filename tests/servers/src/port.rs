//! Free ports, below the range that the system uses for outgoing connections.
//!
//! A restarted server must find its port free. While the server is down, any outgoing connection may get a port of
//! that range. A client that tries to reach the stopped server could even get the server's port as its own and connect to itself.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use anyhow::bail;

/// The lowest port that [`free`] returns.
const FIRST: u16 = 10_000;
/// The default start of Linux's range for outgoing connections.
const OUTGOING_FIRST: u16 = 32_768;
/// How many ports [`free`] examines before it fails.
const PORTS_EXAMINED_MAX: u32 = 1_000;

/// The ports that [`free`] has returned. It returns no port twice, so two servers that start at the same time do not
/// get the same port.
static RETURNED: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Returns a port of loopback without a listener. Another process may take the port before the server opens it. Then the
/// caller must start the server again with another port.
///
/// # Errors
/// If a thousand random ports are all taken.
pub(crate) fn free() -> anyhow::Result<u16> {
    let end = outgoing_first().max(FIRST + 1);
    let mut returned = RETURNED.lock().unwrap_or_else(PoisonError::into_inner);
    let returned = returned.get_or_insert_default();
    for _ in 0..PORTS_EXAMINED_MAX {
        let port = rand::random_range(FIRST..end);
        if !returned.contains(&port) && is_free(port) {
            returned.insert(port);
            return Ok(port);
        }
    }
    bail!(
        "found no free port among {PORTS_EXAMINED_MAX} random ports from {FIRST} to {}",
        end - 1
    )
}

/// Whether a server could listen on this port of loopback now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

fn outgoing_first() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(OUTGOING_FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_returned_once_and_is_below_the_outgoing_range() {
        let ports: HashSet<u16> = (0..200).map(|_| free().expect("a port is free")).collect();
        assert_eq!(ports.len(), 200);
        assert!(ports.iter().all(|port| *port < outgoing_first()));
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the listener opens a port");
        let port = listener
            .local_addr()
            .expect("the listener has an address")
            .port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }
}
