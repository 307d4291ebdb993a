//! Lua scripts: the number of commands of a submit, and a server that has lost its scripts.

use forebay_shared::{account::AccountKey, class::Class};
use servers::redis::RedisOptions;

use crate::{connect, info, server, test_lane::TestLane};

#[tokio::test]
async fn a_submit_is_one_command() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // This submit loads the script into the server.
    TestLane::session(&store, "earlier").admit().await;
    let lane = TestLane::session(&store, "s");
    let event = forebay_shared::lane::Event::Admit(lane.admission(lane.new_job_id()));
    let (commit, _) = lane
        .build_commit(&Default::default(), &event, Vec::new())
        .unwrap();
    server.cli(&["CONFIG", "RESETSTAT"]).await.unwrap();
    store.commit(&commit).await.unwrap();
    let evals = info(&server, "commandstats", "cmdstat_evalsha").await;
    assert!(
        evals.starts_with("calls=1,"),
        "a submit is not one EVALSHA: {evals}"
    );
    for other_command in [
        "cmdstat_eval",
        "cmdstat_script|load",
        "cmdstat_ping",
        "cmdstat_unwatch",
    ] {
        assert_eq!(
            info(&server, "commandstats", &format!("{other_command}:")).await,
            "",
            "the submit also ran {other_command}"
        );
    }
}

/// However many heads wait, a search reads the index of each partition once, and only the lanes that it returns.
#[tokio::test]
async fn a_search_for_deferred_heads_reads_only_the_lanes_that_it_returns() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let account = AccountKey::of_provider("acme");
    for _ in 0..300 {
        let lane = TestLane::without_session(&store);
        lane.admit_deferred(&account).await;
    }
    // This search loads the script into the server.
    let search = || store.deferred_heads(&account, Class::Interactive, 3);
    search().await.unwrap();
    server.cli(&["CONFIG", "RESETSTAT"]).await.unwrap();
    assert_eq!(search().await.unwrap().len(), 3);
    let calls = async |command: &str| {
        let stats = info(&server, "commandstats", &format!("cmdstat_{command}:")).await;
        let calls = stats.strip_prefix("calls=").unwrap_or("0,");
        calls.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((calls("zrange").await, calls("getrange").await), (256, 3));
    assert!(calls("evalsha").await <= 3);
    assert_eq!(calls("get").await, 0);
}

#[tokio::test]
async fn scripts_are_sent_again_to_a_server_that_lost_them() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let job = lane.admit().await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    // The claim runs a script on one partition, and `counts` runs a script on every partition.
    let fence = lane.claim(job, "worker-1").await;
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.live(), counts.sessions), (1, 1));
    lane.finish(job, fence, &["a turn"]).await;
}
