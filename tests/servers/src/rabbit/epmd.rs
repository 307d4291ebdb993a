//! epmd, the daemon that tells Erlang nodes each other's ports. Each RabbitMQ node gets its own, so that tests share it
//! neither with each other nor with the system.

use std::{net::Ipv4Addr, time::Duration};

use tokio::net::TcpStream;

use super::files::NodeFiles;
use crate::{binary, process::ServerProcess};

const START_LIMIT: Duration = Duration::from_secs(60);

/// Starts it and waits until it listens.
pub(super) async fn start(files: &NodeFiles) -> anyhow::Result<ServerProcess> {
    let epmd = binary::find("FOREBAY_TEST_EPMD", &["epmd"])?;
    let own = files.clone();
    let process = ServerProcess::new("epmd", &files.folder, move || own.command(&epmd));
    process.spawn()?;
    let listens = || async {
        TcpStream::connect((Ipv4Addr::LOCALHOST, files.epmd_port))
            .await
            .is_ok()
    };
    process.until_ready(START_LIMIT, listens).await?;
    Ok(process)
}
