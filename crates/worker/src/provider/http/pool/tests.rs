//! Waiting for a place when all of them are taken.

use bytes::Bytes;
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::provider::http::{Endpoint, HttpLimits, Proxies};

/// A server that takes so many requests at a time on each connection, and a pool of at most one to it.
async fn pool(streams_max: u32) -> Arc<Pool> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut builder = h2::server::Builder::new();
            builder.max_concurrent_streams(streams_max);
            let mut served = builder
                .handshake::<_, Bytes>(stream)
                .await
                .expect("a client");
            tokio::spawn(async move { while let Some(Ok(_)) = served.accept().await {} });
        }
    });
    let endpoint = Endpoint::parse(&base_url).expect("a URL");
    let connect_ms = HttpLimits::default().connect_ms;
    let connector =
        Connector::new(&endpoint, &Proxies::default(), connect_ms, true).expect("a connector");
    Arc::new(Pool::bounded(connector, 1))
}

async fn lease(pool: &Arc<Pool>) -> Leased {
    let leased = timeout(Duration::from_secs(20), pool.lease()).await;
    leased.expect("a place in time").expect("a connection").0
}

/// Time stands still unless somebody waits for it, so that a wait for it shows.
#[tokio::test]
async fn who_waits_has_a_place_as_soon_as_it_is_free() {
    let pool = pool(1).await;
    let mut taken = lease(&pool).await;
    tokio::time::pause();
    let began = Instant::now();
    for _ in 0..10 {
        // One that is told of the place and gone before it takes it, as a call is that is given up.
        let mut gone = Box::pin(pool.lease());
        assert!(futures_util::poll!(&mut gone).is_pending());
        let mut waiting = JoinSet::new();
        for _ in 0..3 {
            let pool = Arc::clone(&pool);
            waiting.spawn(async move { lease(&pool).await });
        }
        // They come to wait.
        tokio::task::yield_now().await;
        drop(taken);
        drop(gone);
        for _ in 0..2 {
            drop(waiting.join_next().await.expect("one").expect("no panic"));
        }
        taken = waiting.join_next().await.expect("one").expect("no panic");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}
