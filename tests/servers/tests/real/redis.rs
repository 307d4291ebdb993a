//! Redis servers: single servers and a cluster.

use std::time::Duration;

use anyhow::Context;
use servers::redis::{Cluster, Redis, RedisOptions};

#[tokio::test]
async fn after_a_kill_and_a_restart_data_and_ports_are_the_same() -> anyhow::Result<()> {
    let redis = Redis::start(RedisOptions::default()).await?;
    let url = redis.url();
    redis.cli(&["SET", "a", "1"]).await?;
    redis.kill9().await?;
    assert!(
        redis.cli(&["GET", "a"]).await.is_err(),
        "a killed server answers"
    );
    redis.restart().await?;
    assert_eq!(redis.cli(&["GET", "a"]).await?, "1");
    assert_eq!(redis.url(), url);

    redis.stop().await?;
    redis.restart().await?;
    redis.restart().await?;
    assert_eq!(redis.cli(&["GET", "a"]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn servers_do_not_share_data() -> anyhow::Result<()> {
    let (first, second) = tokio::try_join!(
        Redis::start(RedisOptions::default()),
        Redis::start(RedisOptions::default())
    )?;
    assert_ne!(first.port(), second.port());
    first.cli(&["SET", "a", "1"]).await?;
    assert_eq!(second.cli(&["GET", "a"]).await?, "");
    Ok(())
}

#[tokio::test]
async fn a_paused_server_answers_after_it_is_resumed() -> anyhow::Result<()> {
    let redis = Redis::start(RedisOptions::default()).await?;
    redis.pause()?;
    let mut reply = Box::pin(redis.cli(&["PING"]));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut reply).await;
    assert!(early.is_err(), "a paused server answered");
    redis.resume()?;
    assert_eq!(reply.await?, "PONG");
    // A paused server can be ended too.
    redis.pause()?;
    redis.restart().await?;
    redis.pause()?;
    redis.kill9().await
}

#[tokio::test]
async fn options_reach_the_server() -> anyhow::Result<()> {
    let options = RedisOptions {
        maxmemory_bytes: Some(5_000_000),
        args: vec!["--maxmemory-policy".into(), "volatile-lru".into()],
        ..RedisOptions::default()
    };
    let redis = Redis::start(options).await?;
    for (setting, value) in [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("maxmemory", "5000000"),
        ("maxmemory-policy", "volatile-lru"),
    ] {
        assert_eq!(
            redis.cli(&["CONFIG", "GET", setting]).await?,
            format!("{setting}\n{value}")
        );
    }
    let error = redis
        .cli(&["NOSUCHCOMMAND"])
        .await
        .expect_err("an unknown command is refused");
    assert!(
        error.to_string().contains("unknown command"),
        "another error: {error:#}"
    );
    Ok(())
}

#[tokio::test]
async fn the_error_of_a_failed_start_contains_the_log() {
    let options = RedisOptions {
        args: vec!["--no-such-setting".into(), "1".into()],
        ..Default::default()
    };
    let error = Redis::start(options)
        .await
        .err()
        .expect("a setting that does not exist is refused");
    assert!(
        error.to_string().contains("no-such-setting"),
        "the error does not contain the log: {error:#}"
    );
}

#[tokio::test]
async fn clients_are_listed_with_their_names() -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let redis = Redis::start(RedisOptions::default()).await?;
    assert_eq!(redis.clients().await?, []);
    let mut client = tokio::net::TcpStream::connect(("127.0.0.1", redis.port())).await?;
    client.write_all(b"CLIENT SETNAME worker-1\r\n").await?;
    client.read_exact(&mut [0; 5]).await?;
    let clients = redis.clients().await?;
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert_eq!(clients[0].field("name"), "worker-1");
    assert_eq!(clients[0].field("addr"), client.local_addr()?.to_string());
    Ok(())
}

#[tokio::test]
async fn a_cluster_serves_all_slots_and_survives_a_kill() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    assert_eq!(cluster.urls().len(), 3);
    let mut stored = 0;
    for node in cluster.nodes() {
        for key in ["{a}1", "{b}1", "{c}1", "{d}1"] {
            match node.cli(&["SET", key, "1"]).await {
                Ok(_) => stored += 1,
                Err(error) => assert!(
                    error.to_string().contains("MOVED"),
                    "another error than a redirection: {error:#}"
                ),
            }
        }
    }
    assert_eq!(stored, 4, "each key must be stored on exactly one master");

    let last = cluster
        .nodes()
        .last()
        .context("the cluster has no master")?;
    let keys = last.cli(&["DBSIZE"]).await?;
    last.kill9().await?;
    last.restart().await?;
    cluster.until_agreed().await?;
    assert_eq!(last.cli(&["DBSIZE"]).await?, keys);
    Ok(())
}
