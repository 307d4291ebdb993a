//! Free ports, below the range that the system uses for outgoing connections.
//!
//! A restarted server must find its port free. A port of the outgoing range can be taken by any connection while
//! its server is down, even by a client that connects to this port and thereby to itself.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use anyhow::bail;

/// The first port to choose from.
const FIRST: u16 = 10_000;
/// The default start of Linux's range for outgoing connections.
const OUTGOING_FIRST: u16 = 32_768;
const TRIES_MAX: u32 = 1_000;

/// The ports that this process has used, so that two servers that start at once get different ports.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port of loopback without a listener. Another process can still take it first; then the start must be
/// retried with another port.
///
/// # Errors
/// If a thousand ports in a row are taken.
pub(crate) fn free() -> anyhow::Result<u16> {
    let end = outgoing_first().max(FIRST + 1);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    for _ in 0..TRIES_MAX {
        let port = rand::random_range(FIRST..end);
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {end}")
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
    fn every_port_is_given_once_and_is_below_the_outgoing_ones() {
        let ports: HashSet<u16> = (0..200).map(|_| free().expect("a free port")).collect();
        assert_eq!(ports.len(), 200);
        assert!(ports.iter().all(|port| *port < outgoing_first()));
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = listener.local_addr().expect("its address").port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }
}
