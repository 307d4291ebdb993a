//! What an error of Redis means to whoever asked.

use forebay_shared::store::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Whether a call is part of accepting a job, for which a full server has an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    /// It is: on a full server the job is refused.
    Yes,
    /// It is not: on a full server it has to be tried again, since the work was done.
    No,
}

/// There is no connection at the moment; one is being made.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to Redis")]
pub(super) struct NoConnection;

/// Redis answered something else than the script that was called can answer.
#[derive(Debug, thiserror::Error)]
#[error("Redis answered something unexpected to {0}")]
pub(super) struct Unexpected(pub(super) &'static str);

/// The error of the port for an error of Redis. A command that timed out may have run, and so may one
/// whose connection was lost: both are `Unavailable`, after which the caller repeats.
pub(super) fn store_error(error: RedisError, accepts: Accepts) -> StoreError {
    if error.code() == Some("OOM") && accepts == Accepts::Yes {
        return StoreError::Full;
    }
    if is_transient(&error) {
        StoreError::Unavailable(Some(Box::new(error)))
    } else {
        StoreError::Broken(Box::new(error))
    }
}

fn is_transient(error: &RedisError) -> bool {
    /// Answers of a server that is starting, failing over, moving slots, too busy, short of memory, of
    /// replicas or of a disk.
    const PASSING: [&str; 12] = [
        "LOADING",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "MOVED",
        "ASK",
        "READONLY",
        "MASTERDOWN",
        "BUSY",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
        "UNBLOCKED",
    ];
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::Parse => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    }
}

/// Whether the connection had better be replaced: it is gone, it does not answer, or it leads to a
/// server that has become a replica (a new look-up of the name may lead to its successor).
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

/// The error for a document that cannot be read or written.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Broken(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server(line: &str) -> RedisError {
        let answer = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        answer.extract_error().unwrap_err()
    }

    #[test]
    fn what_may_pass_is_unavailable() {
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
            let error = store_error(server(line), Accepts::Yes);
            assert!(error.is_transient(), "{line}: {error:?}");
        }
        let timeout = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert!(breaks_connection(&timeout));
        assert!(store_error(timeout, Accepts::No).is_transient());
    }

    #[test]
    fn a_full_server_refuses_new_jobs_and_lets_others_try_again() {
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        assert!(matches!(
            store_error(server(full), Accepts::Yes),
            StoreError::Full
        ));
        assert!(store_error(server(full), Accepts::No).is_transient());
        assert!(!breaks_connection(&server(full)));
    }

    #[test]
    fn what_a_repeat_cannot_mend_is_broken() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR user_script:1: attempt to index a nil value",
            "NOPERM this user has no permissions",
        ] {
            let error = store_error(server(line), Accepts::Yes);
            assert!(matches!(error, StoreError::Broken(_)), "{line}: {error:?}");
        }
    }

    #[test]
    fn a_server_that_has_become_a_replica_is_left() {
        let error = server("READONLY You can't write against a read only replica.");
        assert!(breaks_connection(&error));
    }
}
