//! `amqps` and `rediss`: a fleet uses TLS with both servers. Only the settings name the authority of their certificates.

use std::sync::Arc;

use e2e::fleet::{Fleet, LIMIT, Load, until};
use scripted_provider::ScriptedLlm;
use servers::{rabbit::RabbitOptions, redis::RedisOptions, tls::Certificates};

use crate::machine;

const LOAD: Load = Load {
    sessions: 5,
    turns: 4,
    limit: LIMIT,
};

#[tokio::test]
async fn a_fleet_works_over_encrypted_connections_and_only_with_the_right_authority() {
    let _machine = machine::beside_others().await;
    let certificates = Arc::new(Certificates::new().expect("certificates"));
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
    let listed = until(LIMIT, async || {
        let connections = fleet.rabbit.connections().await.expect("a list");
        let encrypted = |connection: &serde_json::Value| connection["ssl"] == true;
        // A gateway has one connection, a worker two.
        connections.len() == 5 && connections.iter().all(encrypted)
    });
    assert!(listed.await, "{:?}", fleet.rabbit.connections().await);

    let others = Certificates::new().expect("certificates");
    let wrong_ca_file = others.ca_file();
    let wrong_ca_file = wrong_ca_file.to_str().expect("a path in UTF-8");
    for (variable, server) in [("REDIS_CA_FILE", "Redis"), ("AMQP_CA_FILE", "RabbitMQ")] {
        let worker = fleet.add_worker_with(&[(variable, wrong_ca_file)]).await;
        worker.wait_for_log("certificate", LIMIT).await;
        let logs = worker.logs();
        let refused = logs.lines().find(|line| line.contains("certificate"));
        assert!(refused.is_some_and(|line| line.contains(server)), "{logs}");
    }
}
