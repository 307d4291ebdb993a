//! A proxy in front of several servers. It reports that it is not a cluster, and refuses scripts on keys of several hash slots.

use std::{io, net::Ipv4Addr};

use forebay_shared::store::TimerMove;
use servers::redis::RedisOptions;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    connect, server,
    test_lane::{LONG_MS, TestLane},
};

/// Replaces a refused script. It fails with the error that such a proxy returns.
const REFUSAL: [&[u8]; 3] = [
    b"EVAL",
    b"return redis.error_reply('CROSSSLOT Keys in request do not hash to the same slot')",
    b"0",
];

/// Starts the proxy. Returns its port.
async fn start_proxy(server_port: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, server_port));
        }
    });
    port
}

/// Relays a connection. Replaces scripts with several keys.
async fn relay(client: TcpStream, server_port: u16) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await?;
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut commands = BufReader::new(from_client);
    loop {
        let mut command = read_command(&mut commands).await?;
        if command[0].starts_with(b"EVAL") && command[2] != b"1" {
            command = REFUSAL.map(<[u8]>::to_vec).to_vec();
        }
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend(format!("${}\r\n", part.len()).into_bytes());
            bytes.extend(part);
            bytes.extend(b"\r\n");
        }
        to_server.write_all(&bytes).await?;
    }
}

async fn read_command(commands: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Vec<Vec<u8>>> {
    let mut command = Vec::new();
    for _ in 0..read_length(commands).await? {
        let mut part = vec![0; read_length(commands).await?];
        commands.read_exact(&mut part).await?;
        let mut end_of_line = [0; 2];
        commands.read_exact(&mut end_of_line).await?;
        command.push(part);
    }
    Ok(command)
}

/// Reads a line with a length. An error ends the connection.
async fn read_length(commands: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<usize> {
    let mut line = String::new();
    commands.read_line(&mut line).await?;
    let length = line.trim_end().get(1..).and_then(|text| text.parse().ok());
    length.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[tokio::test]
async fn timers_move_although_a_script_may_use_one_slot_only() {
    let server = server(RedisOptions::default()).await;
    let port = start_proxy(server.port()).await;
    let store = connect(format!("redis://127.0.0.1:{port}")).await;
    for _ in 0..20 {
        TestLane::without_session(&store).admit().await;
    }
    let late = store.now().plus_ms(9 * LONG_MS);
    // The first call is refused and repeated. The second one is not refused.
    for _ in 0..2 {
        let timers = store.due_timers(late, 100).await.unwrap();
        let moves = timers.iter().map(|timer| TimerMove {
            job: timer.job,
            from: timer.at,
            to: timer.at.plus_ms(5),
        });
        let moves: Vec<_> = moves.collect();
        assert_eq!(store.move_timers(&moves).await.unwrap(), [true; 20]);
        let moved = store.due_timers(late, 100).await.unwrap();
        for (before, after) in timers.iter().zip(moved) {
            assert_eq!(after.at, before.at.plus_ms(5));
        }
    }
}
