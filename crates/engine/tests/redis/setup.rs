//! The checks of a server's configuration at the start, authentication and TLS.

use std::sync::Arc;

use forebay_engine::distributed::store::{
    ConnectError, RedisSettings, RedisStore, UnsuitableServer,
};
use servers::{
    redis::{Cluster, RedisOptions},
    tls::Certificates,
};

use crate::{
    connect, server,
    test_lane::{TestLane, worker},
};

fn options_with(args: &[&str]) -> RedisOptions {
    RedisOptions {
        args: args.iter().map(ToString::to_string).collect(),
        ..RedisOptions::default()
    }
}

async fn connect_error(settings: &RedisSettings) -> ConnectError {
    match RedisStore::connect(settings).await {
        Ok(_) => panic!("the store accepted the server"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_server_that_may_delete_live_jobs_is_refused() {
    let server = server(options_with(&["--maxmemory-policy", "allkeys-lru"])).await;
    let error = connect_error(&RedisSettings::new(server.url())).await;
    let evicts = matches!(
        error,
        ConnectError::Unsuitable(UnsuitableServer::Evicts { .. })
    );
    assert!(evicts, "unexpected error: {error:?}");
    assert!(error.to_string().contains("set it to noeviction"));
    // The user `app` may not run CONFIG, so the store reads the policy from INFO.
    let server = crate::server(options_with(&["--maxmemory-policy", "allkeys-random"])).await;
    let set_user = [
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config",
    ];
    server.cli(&set_user).await.unwrap();
    let url = server.url().replace("redis://", "redis://app:secret@");
    let error = connect_error(&RedisSettings::new(url)).await;
    assert!(
        matches!(
            error,
            ConnectError::Unsuitable(UnsuitableServer::Evicts { .. })
        ),
        "unexpected error: {error:?}"
    );
    server
        .cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"])
        .await
        .unwrap();
    let url = server.url().replace("redis://", "redis://app:secret@");
    TestLane::session(&connect(url).await, "s")
        .complete(&["a turn"])
        .await;
}

#[tokio::test]
async fn a_wrong_url_or_password_is_refused() {
    for url in ["", "nonsense", "http://localhost:1", "redis://"] {
        let error = connect_error(&RedisSettings::new(url)).await;
        assert!(matches!(error, ConnectError::Url(_)), "{url:?}: {error:?}");
    }
    let server = server(RedisOptions::default()).await;
    // From here on the server requires a password.
    server
        .cli(&["ACL", "SETUSER", "default", "resetpass", ">right"])
        .await
        .unwrap();
    for url in [
        server.url(),
        server.url().replace("redis://", "redis://:wrong@"),
    ] {
        let error = connect_error(&RedisSettings::new(url)).await;
        assert!(
            matches!(error, ConnectError::Denied(_)),
            "unexpected error: {error:?}"
        );
        assert!(!format!("{error:?}").contains("wrong"));
    }
}

#[tokio::test]
async fn tls_uses_the_given_certificate_authority() {
    let certificates = Arc::new(Certificates::new().unwrap());
    let options = RedisOptions {
        tls: Some(Arc::clone(&certificates)),
        ..RedisOptions::default()
    };
    let server = server(options).await;
    let mut settings = RedisSettings::new(server.url());
    settings.ca_file = Some(certificates.ca_file());
    let store = Arc::new(RedisStore::connect(&settings).await.unwrap());
    let store: Arc<dyn forebay_shared::store::Store> = store;
    let lane = TestLane::session(&store, "s");
    lane.complete(&["a turn"]).await;
    assert_eq!(lane.read_session(60_000).await.unwrap().turns.len(), 1);
    let live = store.renew_presence(&worker("w"), 3_000).await.unwrap();
    assert_eq!(live.alive.len(), 1);

    settings.ca_file = Some("/nowhere/ca.pem".into());
    let error = connect_error(&settings).await;
    assert!(
        matches!(error, ConnectError::CaFile { .. }),
        "unexpected error: {error:?}"
    );
}

#[tokio::test]
async fn a_process_has_few_connections_to_a_cluster() {
    let cluster = Cluster::start().await.unwrap();
    let store = connect(cluster.urls().join(",")).await;
    store.counts().await.unwrap();
    let mut connections = 0;
    for node in cluster.nodes() {
        let clients = node.clients().await.unwrap();
        // The connections between the nodes have the flag M.
        let of_store = clients
            .iter()
            .filter(|client| !client.field("flags").contains('M'));
        connections += of_store.count();
    }
    assert!(
        (3..=8).contains(&connections),
        "the process has {connections} connections"
    );
}

#[tokio::test]
async fn several_urls_without_a_cluster_are_refused() {
    let server = server(RedisOptions::default()).await;
    let settings = RedisSettings::new(format!("{0},{0}", server.url()));
    let error = connect_error(&settings).await;
    assert!(
        matches!(error, ConnectError::Unsuitable(UnsuitableServer::NoCluster)),
        "unexpected error: {error:?}"
    );
}
