//! One connection through the proxy. Its bytes pass, pass after a delay, or wait; or the connection ends.

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

/// What the proxy does with all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) mode: Mode,
    /// The delay of all bytes, in each direction.
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Bytes pass.
    Open,
    /// Bytes wait.
    Stalled,
    /// Connections end.
    Cut,
}

/// The network was cut, or the proxy was dropped.
struct Cut;

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
    let both = async {
        tokio::join!(
            copy(from_client, to_server, state.clone()),
            copy(from_server, to_client, state.clone())
        )
    };
    let mut watched = state.clone();
    tokio::select! {
        _ = both => {}
        // This drops all halves, which ends both connections.
        _ = watched.wait_for(|state| state.mode == Mode::Cut) => {}
    }
}

/// Copies from one side to the other until the end of the stream, and passes the end on.
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
    // A stall holds back the end of a stream too.
    if until_open(&mut state).await.is_ok() {
        let _ = to.shutdown().await;
    }
}

async fn until_open(state: &mut watch::Receiver<State>) -> Result<(), Cut> {
    let state = state
        .wait_for(|state| state.mode != Mode::Stalled)
        .await
        .map_err(|_| Cut)?;
    if state.mode == Mode::Open {
        Ok(())
    } else {
        Err(Cut)
    }
}
