//! What happens to the bytes: they pass, late if wanted; or wait; or the connection ends.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The most bytes on their way in one direction of one connection.
const CHUNK_BYTES_MAX: usize = 64 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) mode: Mode,
    /// How much later the bytes arrive, in each direction.
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    Stalled,
    Cut,
}

/// The network was cut, or the proxy is gone.
struct Cut;

/// Carries one connection until one side ends it or the network is cut.
pub(super) async fn carry(
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
    // The proxy shall not add delays of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = async {
        tokio::join!(
            pump(from_client, to_server, state.clone()),
            pump(from_server, to_client, state.clone())
        )
    };
    let mut watched = state.clone();
    tokio::select! {
        _ = both => {}
        // Both halves are dropped with this, so both connections end.
        _ = watched.wait_for(|state| state.mode == Mode::Cut) => {}
    }
}

/// Passes what comes from one side to the other; at its end, ends the other direction's stream, too.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
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
    // The end of a stream is held back like its bytes.
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
