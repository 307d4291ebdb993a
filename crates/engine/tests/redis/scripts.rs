//! Scripts: their number of round trips, and a server that has lost them.

use servers::redis::RedisOptions;

use crate::{connect, drive::Driver, info, server};

#[tokio::test]
async fn a_submit_is_one_command() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // The server has to know the script first.
    Driver::session(&store, "warm").admit().await;
    let lane = Driver::session(&store, "s");
    let event = forebay_shared::lane::Event::Admit(lane.admission(lane.job()));
    let (commit, _) = lane
        .commit(&Default::default(), &event, Vec::new())
        .unwrap();
    server.cli(&["CONFIG", "RESETSTAT"]).await.unwrap();
    store.commit(&commit).await.unwrap();
    let evals = info(&server, "commandstats", "cmdstat_evalsha").await;
    assert!(evals.starts_with("calls=1,"), "{evals}");
    for other in [
        "cmdstat_eval",
        "cmdstat_script|load",
        "cmdstat_ping",
        "cmdstat_unwatch",
    ] {
        assert_eq!(
            info(&server, "commandstats", &format!("{other}:")).await,
            ""
        );
    }
}

#[tokio::test]
async fn scripts_are_sent_again_to_a_server_that_lost_them() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = Driver::session(&store, "s");
    let job = lane.admit().await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    // First a script on one key, then one on all partitions.
    let fence = lane.claim(job, "worker-1").await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.live(), counts.sessions), (1, 1));
    lane.finish(job, fence, &["a turn"]).await;
}
