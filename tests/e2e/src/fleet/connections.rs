//! Finds the connections of a process in a server's list of connections.
//!
//! A connection belongs to the process if its other end is a socket of the process. The name of the connection does not
//! matter. A connection through a proxy does not count.

use std::{collections::BTreeSet, fs, os::unix::ffi::OsStrExt, path::Path};

use anyhow::Context;
use serde_json::Value;
use servers::{rabbit::Rabbit, redis::Redis};

use super::Member;

/// The addresses of a process's connections to Redis, from `CLIENT LIST`.
///
/// # Errors
/// If the server does not answer, or `/proc` cannot be read.
pub async fn to_redis(redis: &Redis, member: &Member) -> anyhow::Result<Vec<String>> {
    let clients = redis.clients().await?;
    let ports = local_ports(member.pid(), redis.port())?;
    let mut addresses = Vec::new();
    for client in &clients {
        let address = client.field("addr");
        let (_, port) = address
            .rsplit_once(':')
            .context("the address of a client has no port")?;
        if ports.contains(&port.parse()?) {
            addresses.push(address.to_owned());
        }
    }
    Ok(addresses)
}

/// The names of a process's connections to RabbitMQ, from the management API.
///
/// # Errors
/// If the node does not answer, or `/proc` cannot be read.
pub async fn to_rabbit(rabbit: &Rabbit, member: &Member) -> anyhow::Result<Vec<String>> {
    let connections = rabbit.connections().await?;
    let ports = local_ports(member.pid(), rabbit.port())?;
    let of_process = |connection: &&Value| {
        let port = connection["peer_port"].as_u64();
        port.and_then(|port| u16::try_from(port).ok())
            .is_some_and(|port| ports.contains(&port))
    };
    let name = |connection: &Value| {
        let name = connection["user_provided_name"].as_str();
        name.unwrap_or_default().to_owned()
    };
    Ok(connections.iter().filter(of_process).map(name).collect())
}

/// The local ports of a process's TCP connections over IPv4 to `server_port`. Two processes can use the same local port
/// for connections to different servers, so the local port alone does not identify a connection.
fn local_ports(pid: u32, server_port: u16) -> anyhow::Result<BTreeSet<u16>> {
    let folder = format!("/proc/{pid}");
    let inodes = socket_inodes(Path::new(&folder))?;
    let table = fs::read_to_string(format!("{folder}/net/tcp"))?;
    let local_port = |line: &str| {
        let mut fields = line.split_whitespace();
        let (local, remote) = (port_of(fields.nth(1)?)?, port_of(fields.next()?)?);
        let inode = fields.nth(6)?;
        (remote == server_port && inodes.contains(inode)).then_some(local)
    };
    Ok(table.lines().skip(1).filter_map(local_port).collect())
}

/// The port of an address in `/proc/*/net/tcp`, for example `0100007F:1F90`.
fn port_of(address: &str) -> Option<u16> {
    u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()
}

/// The inodes of the sockets that a process has open. `folder` is the folder of the process in `/proc`.
fn socket_inodes(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut inodes = BTreeSet::new();
    for file in fs::read_dir(folder.join("fd"))? {
        // An error means that the process has closed the file since the folder was read.
        let Ok(target) = fs::read_link(file?.path()) else {
            continue;
        };
        let target = String::from_utf8_lossy(target.as_os_str().as_bytes()).into_owned();
        let inode = target.strip_prefix("socket:[");
        inodes.extend(
            inode
                .and_then(|inode| inode.strip_suffix(']'))
                .map(str::to_owned),
        );
    }
    Ok(inodes)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::process::parent_id,
    };

    use super::local_ports;

    #[test]
    fn a_connection_belongs_to_one_process_and_one_server() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let port = client.local_addr().unwrap().port();
        let ports = |pid, server_port| local_ports(pid, server_port).unwrap();
        assert!(ports(std::process::id(), address.port()).contains(&port));
        assert!(!ports(std::process::id(), 1).contains(&port));
        assert!(!ports(parent_id(), address.port()).contains(&port));
    }
}
