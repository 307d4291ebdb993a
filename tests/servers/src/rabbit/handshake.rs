//! Whether a node is up: RabbitMQ opens its AMQP port last of all, and greets a client with its own name.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The protocol header of AMQP 0-9-1.
const HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";
const LIMIT: Duration = Duration::from_secs(2);
const GREETING_BYTES_MAX: usize = 16 * 1_024;

/// Whether the node of this name speaks AMQP at this port, and not another server.
pub(super) async fn greets(port: u16, name: &str) -> bool {
    // Behind the `@`, it greets with the machine's name.
    let name = name.split('@').next().unwrap_or(name);
    timeout(LIMIT, greeting(port, name))
        .await
        .is_ok_and(|greeted| greeted.unwrap_or(false))
}

/// Whether somebody listens at this port; for one with TLS, where the greeting is not to be read.
pub(super) async fn listens(port: u16) -> bool {
    let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    timeout(LIMIT, connecting)
        .await
        .is_ok_and(|connected| connected.is_ok())
}

async fn greeting(port: u16, name: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(HEADER).await?;
    let mut greeting = Vec::new();
    // The node is the value of `cluster_name` among its properties.
    while greeting.len() < GREETING_BYTES_MAX && stream.read_buf(&mut greeting).await? > 0 {
        if greeting
            .windows(name.len())
            .any(|part| part == name.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}
