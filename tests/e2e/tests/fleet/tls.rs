//! A fleet uses TLS to both servers (`amqps` and `rediss`). It trusts only the certificate authority that its settings name.

use std::sync::Arc;

use e2e::fleet::{Fleet, Load, TIMEOUT, poll_until};
use scripted_provider::ScriptedLlm;
use servers::{rabbit::RabbitOptions, redis::RedisOptions, tls::Certificates};

use crate::test_lock;

const LOAD: Load = Load {
    sessions: 5,
    turns: 4,
    timeout: TIMEOUT,
};

#[tokio::test]
async fn a_fleet_works_over_encrypted_connections_and_only_with_the_right_authority() {
    let _guard = test_lock::shared().await;
    let certificates = Arc::new(Certificates::new().expect("the certificates are made"));
    let llm = ScriptedLlm::start().await;
    let redis = RedisOptions {
        tls: Some(Arc::clone(&certificates)),
        ..RedisOptions::default()
    };
    let rabbit = RabbitOptions {
        tls: Some(Arc::clone(&certificates)),
        ..RabbitOptions::default()
    };
    let fleet = Fleet::builder().gateways(1).workers(2).openai(&llm);
    let mut fleet = fleet.redis(redis).rabbit(rabbit).start().await;
    assert!(fleet.redis.url().starts_with("rediss://"));
    assert!(fleet.vhost.url().starts_with("amqps://"));
    let accepted = LOAD.submit(&fleet.client).join_all().await;
    LOAD.assert_in_order(&fleet, accepted).await;
    let listed = poll_until(TIMEOUT, async || {
        let connections = fleet
            .rabbit
            .connections()
            .await
            .expect("RabbitMQ lists its connections");
        let encrypted = |connection: &serde_json::Value| connection["ssl"] == true;
        // A gateway has one connection, and each of the two workers has two.
        connections.len() == 5 && connections.iter().all(encrypted)
    });
    assert!(
        listed.await,
        "RabbitMQ does not list five encrypted connections: {:?}",
        fleet.rabbit.connections().await
    );

    let other_authority = Certificates::new().expect("the certificates are made");
    let wrong_ca_file = other_authority.ca_file();
    let wrong_ca_file = wrong_ca_file.to_str().expect("the path is UTF-8");
    for (variable, server) in [("REDIS_CA_FILE", "Redis"), ("AMQP_CA_FILE", "RabbitMQ")] {
        let worker = fleet.add_worker_with(&[(variable, wrong_ca_file)]).await;
        worker.wait_for_log("certificate", TIMEOUT).await;
        let logs = worker.logs();
        let refused = logs.lines().find(|line| line.contains("certificate"));
        assert!(
            refused.is_some_and(|line| line.contains(server)),
            "no line of the log names the certificate of {server}: {logs}"
        );
    }
}
