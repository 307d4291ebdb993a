//! Scripts: how many trips they take, and what happens when the server has forgotten them.

use servers::redis::RedisOptions;

use crate::{connect, drive::Driver, info, server};

#[tokio::test]
async fn a_submit_is_one_command() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // The server gets to know the script.
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
async fn a_server_that_has_forgotten_the_scripts_is_given_them_again() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = Driver::session(&store, "s");
    let job = lane.admit().await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    // One that stands alone, and one that runs on all partitions at once.
    let fence = lane.claim(job, "worker-1").await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.live(), counts.sessions), (1, 1));
    lane.finish(job, fence, &["said"]).await;
}
