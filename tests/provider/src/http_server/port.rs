//! The port of a server. It stays reserved while the server does not listen.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// The most connections that wait for the server to accept them.
const BACKLOG: u32 = 1_024;

/// A free port of 127.0.0.1.
pub(super) struct Port {
    address: SocketAddr,
    /// This socket is bound and never listens. So no other process gets the port.
    _reserved: TcpSocket,
}

impl Port {
    /// Reserves a free port.
    pub(super) fn reserve() -> io::Result<Self> {
        let socket = bound_socket(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Self {
            address: socket.local_addr()?,
            _reserved: socket,
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the port until the listener is dropped. Only one listener may exist at a time.
    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        bound_socket(self.address)?.listen(BACKLOG)
    }
}

/// `SO_REUSEADDR` allows several sockets on one port, if at most one of them listens.
fn bound_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
