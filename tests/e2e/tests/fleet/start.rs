//! A server that Forebay cannot use ends the start: exit code 2, and a message with the variable and the remedy. Errors
//! that need no server are in the tests of single processes.

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

fn is_refused(exited: &Exited, said: &str) {
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert!(exited.stderr.contains("REDIS_URL"), "{exited:?}");
    assert!(exited.stderr.contains(said), "{exited:?}");
    assert!(!exited.stderr.contains("panicked"), "{exited:?}");
}

#[tokio::test]
async fn a_redis_that_would_drop_live_jobs_is_refused() {
    let _machine = machine::beside_others().await;
    let options = RedisOptions {
        args: ["--maxmemory-policy", "allkeys-lru"]
            .map(str::to_owned)
            .into(),
        ..RedisOptions::default()
    };
    let redis = Redis::start(options).await.expect("a Redis server");
    for role in ["gateway", "worker"] {
        is_refused(&start(role, &redis.url()).await, "noeviction");
    }
}

#[tokio::test]
async fn a_redis_with_another_password_is_refused_and_no_password_shown() {
    let _machine = machine::beside_others().await;
    let redis = Redis::start(RedisOptions::default()).await;
    let redis = redis.expect("a Redis server");
    let require = ["ACL", "SETUSER", "default", "resetpass", ">right"];
    redis.cli(&require).await.expect("a password");
    let url = redis.url().replace("redis://", "redis://:wrong-secret@");
    let exited = start("worker", &url).await;
    is_refused(&exited, "password");
    assert!(!exited.stderr.contains("wrong-secret"), "{exited:?}");
}
