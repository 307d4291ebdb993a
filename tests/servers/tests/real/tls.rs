//! Servers with TLS, and certificates that a client can verify.

use std::sync::Arc;

use servers::{
    rabbit::{Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
    tls::Certificates,
};
use tokio::process::Command;

/// Whether curl trusts the certificate of the server at this port.
async fn trusted(port: u16, ca: Option<&Certificates>) -> anyhow::Result<bool> {
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
async fn redis_and_rabbitmq_present_a_certificate_of_the_authority() -> anyhow::Result<()> {
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
    let strangers = Certificates::new()?;
    for port in [redis.port(), rabbit.port()] {
        assert!(trusted(port, Some(&tls)).await?);
        assert!(!trusted(port, Some(&strangers)).await?);
        assert!(!trusted(port, None).await?);
    }
    // The fixture's own commands do not use TLS.
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    redis.restart().await
}
