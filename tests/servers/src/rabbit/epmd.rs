//! epmd, the daemon from which Erlang nodes learn each other's ports. Each RabbitMQ node gets its own epmd, so no test
//! shares an epmd with another test or with the system.

use std::{net::Ipv4Addr, time::Duration};

use tokio::net::TcpStream;

use super::files::NodeFiles;
use crate::{binary, process::ServerProcess};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts an epmd for a node and waits until it listens.
pub(super) async fn start(files: &NodeFiles) -> anyhow::Result<ServerProcess> {
    let epmd = binary::find("FOREBAY_TEST_EPMD", &["epmd"])?;
    let files_of_command = files.clone();
    let process = ServerProcess::new("epmd", &files.folder, move || {
        files_of_command.command(&epmd)
    });
    process.spawn()?;
    let listens = || async {
        TcpStream::connect((Ipv4Addr::LOCALHOST, files.epmd_port))
            .await
            .is_ok()
    };
    process.until_ready(START_TIMEOUT, listens).await?;
    Ok(process)
}
