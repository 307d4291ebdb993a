//! Checks whether a node is ready. A node opens its AMQP port last. Its first message to each client, the greeting
//! (`connection.start`), contains the node's name.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The protocol header of AMQP 0-9-1.
const HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// The timeout of one connection attempt. The caller tries again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a greeting that are read.
const GREETING_BYTES_MAX: usize = 16 * 1_024;

/// Whether the node with this name answers over AMQP at this port.
pub(super) async fn is_node_ready(port: u16, name: &str) -> bool {
    // In the greeting, the text after the `@` can differ: it is the name of the machine.
    let name = name.split('@').next().unwrap_or(name);
    timeout(TIMEOUT, greeting_contains(port, name))
        .await
        .is_ok_and(|has_name| has_name.unwrap_or(false))
}

/// Whether a server listens at this port. It is for ports with TLS, where the greeting is encrypted.
pub(super) async fn listens(port: u16) -> bool {
    let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    timeout(TIMEOUT, connecting)
        .await
        .is_ok_and(|connected| connected.is_ok())
}

async fn greeting_contains(port: u16, name: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(HEADER).await?;
    let mut greeting = Vec::new();
    // The greeting contains the node's name as the property `cluster_name`.
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
