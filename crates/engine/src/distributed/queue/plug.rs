//! The plug of a connection: pulling it ends the connection whatever state it is in.
//!
//! lapin drives each connection from a thread of its own. While the broker blocks a connection lapin
//! writes nothing, so that even its goodbye waits for ever; and a peer that accepts and then stays silent
//! (a load balancer whose broker is away) is waited for without a limit, because heartbeats begin only
//! after the handshake. A time limit around such a wait ends the wait but leaves thread and socket behind,
//! one more with each new try. So a second handle of each socket is kept here: shut down, it ends the
//! thread.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

/// Ends its connection when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Plug(Socket);

/// Where the socket is put once there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Socket(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unplugged,
    Plugged(TcpStream),
    Pulled,
}

impl Plug {
    pub(super) fn socket(&self) -> Socket {
        self.0.clone()
    }

    /// Ends the connection, at once and for good; also one that is only being made.
    pub(super) fn pull(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Plugged(stream) = std::mem::replace(&mut *state, State::Pulled) {
            // An error says that the connection has ended already.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.pull();
    }
}

impl Socket {
    /// Keeps a second handle of this socket.
    ///
    /// # Errors
    /// When the system gives none, or the plug has been pulled.
    pub(super) fn plug(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let second = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Pulled = *state {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Plugged(second);
        Ok(())
    }
}
