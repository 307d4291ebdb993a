//! Servers with TLS present certificates that a client can verify.

use std::sync::Arc;

use servers::{
    rabbit::{Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
    tls::Certificates,
};
use tokio::process::Command;

/// Whether curl trusts the certificate of the server at this port. With `ca`, curl trusts only that authority. Otherwise
/// curl trusts the system's authorities.
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
        let trusted_with_authority = is_trusted(port, Some(&tls)).await?;
        assert!(
            trusted_with_authority,
            "a client that trusts the authority refused the server"
        );
        let trusted_with_other_authority = is_trusted(port, Some(&other_authority)).await?;
        assert!(
            !trusted_with_other_authority,
            "a client that trusts only another authority accepted the server"
        );
        let trusted_with_system_authorities = is_trusted(port, None).await?;
        assert!(
            !trusted_with_system_authorities,
            "a client that trusts only the system's authorities accepted the server"
        );
    }
    // `cli` does not use TLS.
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    redis.restart().await
}
