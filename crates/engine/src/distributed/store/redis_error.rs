//! What an error of Redis means for the store, and whether the connection must be replaced.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::rejection::Rejection;

/// There is no connection at the moment. The store keeps trying to connect.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to Redis; the store keeps trying to connect")]
pub(super) struct NoConnection;

/// The reply has a type or a length that this command or script never returns.
#[derive(Debug, thiserror::Error)]
#[error("Redis returned an unexpected reply to {0}")]
pub(super) struct UnexpectedReply(pub(super) &'static str);

/// A command that timed out, or whose connection was lost, may have run. Both are `Unavailable`, so the caller
/// repeats the call.
impl From<RedisError> for Rejection {
    fn from(error: RedisError) -> Self {
        if error.code() == Some("OOM") {
            Self::Full(Arc::new(error))
        } else if is_transient(&error) {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Broken(Arc::new(error))
        }
    }
}

fn is_transient(error: &RedisError) -> bool {
    /// The server is starting, failing over, moving slots or busy, or it lacks replicas or disk space.
    const CODES: [&str; 11] = [
        "LOADING",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "MOVED",
        "ASK",
        "READONLY",
        "MASTERDOWN",
        "BUSY",
        "NOREPLICAS",
        "MISCONF",
        "UNBLOCKED",
    ];
    match error.kind() {
        // The connection is lost, or its data cannot be parsed. A new connection replaces it.
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::Parse => true,
        _ => error.code().is_some_and(|code| CODES.contains(&code)),
    }
}

/// Whether the connection must be replaced: it is lost, it does not answer, its data cannot be parsed, or its
/// server has become a replica. In the last case, a new lookup of the server's name may find the new primary.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::Parse => true,
        ErrorKind::Server(kind) => {
            matches!(
                kind,
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown
            )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server_error(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    fn rejection(line: &str) -> Rejection {
        server_error(line).into()
    }

    #[test]
    fn transient_errors_mean_an_unavailable_store() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "MOVED 3999 127.0.0.1:6381",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "BUSY Redis is busy running a script.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOREPLICAS Not enough good replicas to write.",
        ] {
            let rejection = rejection(line);
            assert!(matches!(rejection, Rejection::Unavailable(_)), "{line}");
        }
        let timeout = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert!(breaks_connection(&timeout));
        let rejection = Rejection::from(timeout);
        assert!(matches!(rejection, Rejection::Unavailable(_)));
    }

    #[test]
    fn out_of_memory_means_a_full_store_and_keeps_the_connection() {
        let line = "OOM command not allowed when used memory > 'maxmemory'.";
        assert!(matches!(rejection(line), Rejection::Full(_)));
        assert!(!breaks_connection(&server_error(line)));
    }

    #[test]
    fn permanent_errors_mean_a_broken_store() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR user_script:1: attempt to index a nil value",
            "NOPERM this user has no permissions",
        ] {
            assert!(matches!(rejection(line), Rejection::Broken(_)), "{line}");
        }
    }

    #[test]
    fn a_connection_to_a_replica_is_replaced() {
        let error = server_error("READONLY You can't write against a read only replica.");
        assert!(breaks_connection(&error));
    }
}
