//! The daemon (epmd) that tells Erlang nodes each other's ports: one for each RabbitMQ node, at a port of
//! its own, so that no test shares it with another or with the system's.

use std::{net::Ipv4Addr, time::Duration};

use tokio::net::TcpStream;

use super::files::NodeFiles;
use crate::{binary, process::ServerProcess};

const START_LIMIT: Duration = Duration::from_secs(10);

/// Starts it, and waits until it listens.
pub(super) async fn start(files: &NodeFiles) -> anyhow::Result<ServerProcess> {
    let epmd = binary::find("FOREBAY_TEST_EPMD", &["epmd"])?;
    let own = files.clone();
    let process = ServerProcess::new("epmd", &files.folder, move || own.command(&epmd));
    process.spawn()?;
    let listens = || async {
        TcpStream::connect((Ipv4Addr::LOCALHOST, files.names_port))
            .await
            .is_ok()
    };
    process.until_ready(START_LIMIT, listens).await?;
    Ok(process)
}
