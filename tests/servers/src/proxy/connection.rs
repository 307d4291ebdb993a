//! One connection through the proxy. The proxy relays the connection's bytes at once or after a delay. During a stall
//! the proxy holds the bytes back. A cut ends the connection.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The most bytes in transit in one direction of a connection.
const CHUNK_BYTES_MAX: usize = 64 * 1_024;

/// The mode and the delay that apply to all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) mode: Mode,
    /// The delay of all bytes, in each direction.
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The proxy relays bytes.
    Open,
    /// The proxy holds bytes back until the mode changes.
    Stalled,
    /// The proxy ends all connections.
    Cut,
}

/// The connection must end: the network was cut, or the proxy was dropped.
struct Closed;

/// Relays one connection until one side ends it or the network is cut.
pub(super) async fn relay(
    client: TcpStream,
    target: SocketAddr,
    mut state: watch::Receiver<State>,
) {
    if until_open(&mut state).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    // Nagle's algorithm would add delays.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both_directions = async {
        tokio::join!(
            copy(from_client, to_server, state.clone()),
            copy(from_server, to_client, state.clone())
        )
    };
    let mut cut_state = state.clone();
    tokio::select! {
        _ = both_directions => {}
        // This drops all halves, which ends both connections.
        _ = cut_state.wait_for(|state| state.mode == Mode::Cut) => {}
    }
}

/// Copies bytes until the stream `from` ends. Then ends the stream `to`.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut chunk = vec![0; CHUNK_BYTES_MAX];
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if until_open(&mut state).await.is_err() || to.write_all(&chunk[..bytes]).await.is_err() {
            return;
        }
    }
    // A stall also holds back the end of a stream.
    if until_open(&mut state).await.is_ok() {
        let _ = to.shutdown().await;
    }
}

/// Waits for the end of a stall. Returns at once if there is no stall.
///
/// # Errors
/// If the network is cut, or the proxy was dropped.
async fn until_open(state: &mut watch::Receiver<State>) -> Result<(), Closed> {
    let state = state
        .wait_for(|state| state.mode != Mode::Stalled)
        .await
        .map_err(|_| Closed)?;
    if state.mode == Mode::Open {
        Ok(())
    } else {
        Err(Closed)
    }
}
