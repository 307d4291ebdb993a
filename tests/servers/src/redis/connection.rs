//! The connection on which a test sends commands to a server. It does not use the client library that Forebay uses.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, bail};
use tokio::{io::AsyncWriteExt, io::BufReader, net::TcpStream, time::timeout};

use super::reply::RedisReply;

/// The timeout of connecting, and of each command.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection without TLS.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port on 127.0.0.1.
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = timeout(TIMEOUT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
        let stream = stream
            .context("connecting to Redis took longer than a minute")?
            .context("connecting to Redis")?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command and waits for its reply, for at most a minute.
    ///
    /// # Errors
    /// If the connection fails, or Redis replies with an error.
    pub(super) async fn call(&mut self, command: &[&str]) -> anyhow::Result<RedisReply> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend(format!("${}\r\n{part}\r\n", part.len()).into_bytes());
        }
        let exchange = async {
            self.stream.write_all(&bytes).await?;
            RedisReply::read(&mut self.stream).await
        };
        let name = command.first().copied().unwrap_or_default();
        match timeout(TIMEOUT, exchange).await {
            Err(_) => bail!("Redis did not answer {name} within {TIMEOUT:?}"),
            Ok(Ok(RedisReply::Error(message))) => {
                bail!("Redis replied to {name} with an error: {message}")
            }
            Ok(reply) => reply.with_context(|| format!("sending the command {name} to Redis")),
        }
    }
}
