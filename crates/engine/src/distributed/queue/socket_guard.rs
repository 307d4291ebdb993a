//! Closes the socket of a connection, whatever state the connection is in.
//!
//! lapin runs each connection on a thread of its own. Two waits of this thread have no time limit:
//!
//! - the close of a connection that the broker blocks, because lapin writes nothing to such a connection;
//! - the handshake with a peer that sends nothing, because heartbeats begin only after the handshake. A load
//!   balancer whose broker is down is such a peer.
//!
//! A timeout in a task that waits for lapin does not end the thread or close the socket. So this guard keeps a
//! second handle of the socket and shuts the socket down, which ends the thread.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

/// Shuts the socket down when the guard is dropped.
#[derive(Debug, Default)]
pub(super) struct SocketGuard(SocketRegistration);

/// Registers the socket with its guard, from lapin's thread.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketRegistration(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    NotConnected,
    Open(TcpStream),
    ShutDown,
}

impl SocketGuard {
    pub(super) fn registration(&self) -> SocketRegistration {
        self.0.clone()
    }

    /// Shuts the socket down at once, and refuses sockets that are registered later.
    pub(super) fn shut_down(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(stream) = std::mem::replace(&mut *state, State::ShutDown) {
            // An error means that the connection had already ended.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl SocketRegistration {
    /// Keeps a second handle of this socket.
    ///
    /// # Errors
    /// When the system cannot duplicate the handle, or [`SocketGuard::shut_down`] was called before.
    pub(super) fn register(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let second_handle = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::ShutDown = *state {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Open(second_handle);
        Ok(())
    }
}
