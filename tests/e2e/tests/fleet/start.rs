//! Forebay refuses to start with an unsuitable server: exit code 2, and a message with the variable and what to change.
//! The tests of a single process cover errors that need no server.

use std::time::Duration;

use e2e::process::{Exited, run_to_exit};
use servers::redis::{Redis, RedisOptions};

use crate::machine;

const LIMIT: Duration = Duration::from_secs(60);
/// Nothing listens here, and the start must not connect to it.
const AMQP: (&str, &str) = ("AMQP_URL", "amqp://127.0.0.1:9");

async fn start(role: &str, redis_url: &str) -> Exited {
    run_to_exit(&[role], &[AMQP, ("REDIS_URL", redis_url)], LIMIT).await
}

fn assert_refused(exited: &Exited, message: &str) {
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert!(exited.stderr.contains("REDIS_URL"), "{exited:?}");
    assert!(exited.stderr.contains(message), "{exited:?}");
    assert!(!exited.stderr.contains("panicked"), "{exited:?}");
}

#[tokio::test]
async fn a_redis_that_may_evict_keys_is_refused() {
    let _machine = machine::beside_others().await;
    let options = RedisOptions {
        args: ["--maxmemory-policy", "allkeys-lru"]
            .map(str::to_owned)
            .into(),
        ..RedisOptions::default()
    };
    let redis = Redis::start(options).await.expect("a Redis server");
    for role in ["gateway", "worker"] {
        assert_refused(&start(role, &redis.url()).await, "noeviction");
    }
}

#[tokio::test]
async fn a_wrong_redis_password_is_refused_and_not_shown() {
    let _machine = machine::beside_others().await;
    let redis = Redis::start(RedisOptions::default()).await;
    let redis = redis.expect("a Redis server");
    let require = ["ACL", "SETUSER", "default", "resetpass", ">right"];
    redis.cli(&require).await.expect("a password");
    let url = redis.url().replace("redis://", "redis://:wrong-secret@");
    let exited = start("worker", &url).await;
    assert_refused(&exited, "password");
    assert!(!exited.stderr.contains("wrong-secret"), "{exited:?}");
}
