//! Servers with TLS present certificates that a client can verify.

use std::sync::Arc;

use servers::{
    rabbit::{Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
    tls::Certificates,
};
use tokio::process::Command;

/// Whether curl trusts the certificate of the server at this port. With `ca`, curl trusts only that authority.
async fn is_trusted(port: u16, ca: Option<&Certificates>) -> anyhow::Result<bool> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--verbose", "--max-time", "60", "--http1.1"]);
    if let Some(ca) = ca {
        curl.arg("--cacert").arg(ca.ca_file());
    }
    let output = curl
        .arg(format!("https://localhost:{port}/"))
        .output()
        .await?;
    let log = String::from_utf8_lossy(&output.stderr);
    Ok(log.contains("SSL certificate verify ok"))
}

#[tokio::test]
async fn only_clients_that_trust_the_authority_accept_redis_and_rabbitmq() -> anyhow::Result<()> {
    let tls = Arc::new(Certificates::new()?);
    let redis = RedisOptions {
        tls: Some(Arc::clone(&tls)),
        ..RedisOptions::default()
    };
    let redis = Redis::start(redis).await?;
    let rabbit = RabbitOptions {
        tls: Some(Arc::clone(&tls)),
        management: false,
    };
    let rabbit = Rabbit::start(rabbit).await?;
    assert!(redis.url().starts_with("rediss://localhost:"));
    assert!(rabbit.url().starts_with("amqps://guest:guest@localhost:"));
    let other_authority = Certificates::new()?;
    for port in [redis.port(), rabbit.port()] {
        let by_the_authority = is_trusted(port, Some(&tls)).await?;
        assert!(
            by_the_authority,
            "the authority's own certificate was refused"
        );
        let by_another = is_trusted(port, Some(&other_authority)).await?;
        assert!(!by_another, "another authority's client trusted the server");
        let by_the_system = is_trusted(port, None).await?;
        assert!(
            !by_the_system,
            "a client of the system's authorities trusted the server"
        );
    }
    // `cli` does not use TLS.
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    redis.restart().await
}
