//! The settings of a server, authentication and TLS.

use std::sync::Arc;

use forebay_engine::distributed::store::{
    ConnectError, RedisSettings, RedisStore, UnsuitableServer,
};
use servers::{
    redis::{Cluster, RedisOptions},
    tls::Certificates,
};

use crate::{
    connect,
    drive::{Driver, worker},
    server,
};

fn with(args: &[&str]) -> RedisOptions {
    RedisOptions {
        args: args.iter().map(ToString::to_string).collect(),
        ..RedisOptions::default()
    }
}

async fn refusal(settings: &RedisSettings) -> ConnectError {
    match RedisStore::connect(settings).await {
        Ok(_) => panic!("the server was accepted"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_server_that_may_delete_live_jobs_is_refused() {
    let server = server(with(&["--maxmemory-policy", "allkeys-lru"])).await;
    let refused = refusal(&RedisSettings::new(server.url())).await;
    let evicts = matches!(
        refused,
        ConnectError::Unsuitable(UnsuitableServer::Evicts { .. })
    );
    assert!(evicts, "{refused:?}");
    assert!(refused.to_string().contains("set it to noeviction"));
    // Without CONFIG, the policy is in INFO.
    let server = crate::server(with(&["--maxmemory-policy", "allkeys-random"])).await;
    let acl = [
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config",
    ];
    server.cli(&acl).await.unwrap();
    let url = server.url().replace("redis://", "redis://app:secret@");
    let refused = refusal(&RedisSettings::new(url)).await;
    assert!(
        matches!(
            refused,
            ConnectError::Unsuitable(UnsuitableServer::Evicts { .. })
        ),
        "{refused:?}"
    );
    server
        .cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"])
        .await
        .unwrap();
    let url = server.url().replace("redis://", "redis://app:secret@");
    Driver::session(&connect(url).await, "s")
        .complete(&["a turn"])
        .await;
}

#[tokio::test]
async fn a_wrong_url_or_password_is_refused() {
    for url in ["", "nonsense", "http://localhost:1", "redis://"] {
        let refused = refusal(&RedisSettings::new(url)).await;
        assert!(
            matches!(refused, ConnectError::Url(_)),
            "{url:?}: {refused:?}"
        );
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
        let refused = refusal(&RedisSettings::new(url)).await;
        assert!(matches!(refused, ConnectError::Denied(_)), "{refused:?}");
        assert!(!format!("{refused:?}").contains("wrong"));
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
    let lane = Driver::session(&store, "s");
    lane.complete(&["a turn"]).await;
    assert_eq!(lane.read(60_000).await.unwrap().turns.len(), 1);
    let renewal = store.announce(&worker("w"), 3_000).await.unwrap();
    assert_eq!(renewal.alive.len(), 1);

    settings.ca_file = Some("/nowhere/ca.pem".into());
    let refused = refusal(&settings).await;
    assert!(
        matches!(refused, ConnectError::CaFile { .. }),
        "{refused:?}"
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
    assert!((3..=8).contains(&connections), "{connections}");
}

#[tokio::test]
async fn several_urls_without_a_cluster_are_refused() {
    let server = server(RedisOptions::default()).await;
    let settings = RedisSettings::new(format!("{0},{0}", server.url()));
    let refused = refusal(&settings).await;
    assert!(
        matches!(
            refused,
            ConnectError::Unsuitable(UnsuitableServer::NoCluster)
        ),
        "{refused:?}"
    );
}
