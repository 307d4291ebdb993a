//! Closes the socket of a connection in whatever state the connection is.
//!
//! lapin drives each connection from a thread of its own. While the broker blocks a connection, lapin
//! writes nothing, so a close waits too. A peer that accepts and stays silent (a load balancer whose
//! broker is down) is waited for without a limit, because heartbeats begin only after the handshake. A
//! timeout around such a wait leaves the thread and the socket behind, one more with each try. So this
//! guard keeps a second handle of the socket. To shut the socket down through it ends the thread.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

/// Shuts the socket down when it is dropped.
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

    /// Shuts the socket down at once. A socket that is registered later is refused.
    pub(super) fn shut_down(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(stream) = std::mem::replace(&mut *state, State::ShutDown) {
            // An error means that the connection has ended already.
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
    /// When the system cannot duplicate the handle, or the guard has shut down.
    pub(super) fn register(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let second = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::ShutDown = *state {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Open(second);
        Ok(())
    }
}
