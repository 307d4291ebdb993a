//! The fixture's own connection to a server, so that it stands on no client under test.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, bail};
use tokio::{io::AsyncWriteExt, io::BufReader, net::TcpStream, time::timeout};

use super::reply::Reply;

const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of loopback, without TLS.
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = timeout(LIMIT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
        let stream = stream
            .context("connecting to Redis took too long")?
            .context("connecting to Redis")?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command and waits for its answer, at most ten seconds.
    ///
    /// # Errors
    /// What Redis refused with, too.
    pub(super) async fn call(&mut self, command: &[&str]) -> anyhow::Result<Reply> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend(format!("${}\r\n{part}\r\n", part.len()).into_bytes());
        }
        let exchange = async {
            self.stream.write_all(&bytes).await?;
            Reply::read(&mut self.stream).await
        };
        let name = command.first().copied().unwrap_or_default();
        match timeout(LIMIT, exchange).await {
            Err(_) => bail!("Redis did not answer {name} within {LIMIT:?}"),
            Ok(Ok(Reply::Error(message))) => bail!("Redis refused {name}: {message}"),
            Ok(reply) => reply.with_context(|| format!("asking Redis for {name}")),
        }
    }
}
