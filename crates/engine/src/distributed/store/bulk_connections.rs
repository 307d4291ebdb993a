//! The connections for large commands and large replies.
//!
//! Each carries one command at a time, and has a timeout that fits the size. So a large reply delays no small command, and a
//! large reply that comes too late ends only its own connection. The connections are opened when they are needed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, RedisError, RedisResult, Value, aio::ConnectionLike as _};
use tokio::sync::Semaphore;

use super::{
    dial::{Dialer, RedisServer},
    redis_error::breaks_connection,
    shared_connection::RedisConnection,
};

/// How many large commands run at a time. There are few, because the client has the arguments of a running command twice in
/// memory.
const CONNECTIONS: usize = 2;

/// The connections for large commands and large replies.
pub(super) struct BulkConnections {
    dialer: Arc<Dialer>,
    /// One permit for each connection.
    permits: Semaphore,
    /// The open connections that carry no command now.
    idle: Mutex<Vec<RedisConnection>>,
}

impl BulkConnections {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            permits: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        }
    }

    /// Runs the command that `build` returns. The command is built once a connection is free. If an idle connection turns out to be
    /// lost, the command is sent once more over a new one: all calls of the store are safe to repeat. It is not sent again after a
    /// timeout.
    pub(super) async fn send(
        &self,
        server: &RedisServer,
        build: impl Fn() -> Cmd,
    ) -> RedisResult<Value> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let idle = self.idle().pop();
        if let Some(connection) = idle {
            let result = self.send_over(connection, &build()).await;
            let is_lost = |error: &RedisError| breaks_connection(error) && !error.is_timeout();
            if !result.as_ref().is_err_and(is_lost) {
                return result;
            }
        }
        let connection = self.dialer.connect_bulk(server).await?;
        self.send_over(connection, &build()).await
    }

    /// Sends a command. A connection that works afterwards becomes idle. If the caller goes away, the connection is closed.
    async fn send_over(
        &self,
        mut connection: RedisConnection,
        command: &Cmd,
    ) -> RedisResult<Value> {
        let result = match &mut connection {
            RedisConnection::Single(connection) => connection.send_packed_command(command).await,
            RedisConnection::Cluster(cluster) => cluster.req_packed_command(command).await,
        };
        let result = result.and_then(Value::extract_error);
        if !result.as_ref().is_err_and(breaks_connection) {
            self.idle().push(connection);
        }
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<RedisConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
