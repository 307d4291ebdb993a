//! Forebay does not start with an unsuitable Redis server. It ends with exit code 2, and its message names the variable
//! and what to change. The tests of a single process (`it`) cover errors that need no server.

use std::time::Duration;

use e2e::process::{Exited, run_to_exit};
use servers::redis::{Redis, RedisOptions};

use crate::test_lock;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The URL of RabbitMQ. Nothing listens there, and the process must end before it connects.
const AMQP: (&str, &str) = ("AMQP_URL", "amqp://127.0.0.1:9");

async fn start(role: &str, redis_url: &str) -> Exited {
    run_to_exit(&[role], &[AMQP, ("REDIS_URL", redis_url)], TIMEOUT).await
}

fn assert_refused(exited: &Exited, message: &str) {
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert!(
        exited.stderr.contains("REDIS_URL"),
        "the message does not name REDIS_URL: {exited:?}"
    );
    assert!(
        exited.stderr.contains(message),
        "the message does not contain {message}: {exited:?}"
    );
    assert!(
        !exited.stderr.contains("panicked"),
        "the process panicked: {exited:?}"
    );
}

#[tokio::test]
async fn a_redis_that_may_evict_keys_is_refused() {
    let _guard = test_lock::shared().await;
    let options = RedisOptions {
        args: ["--maxmemory-policy", "allkeys-lru"]
            .map(str::to_owned)
            .into(),
        ..RedisOptions::default()
    };
    let redis = Redis::start(options).await.expect("Redis starts");
    for role in ["gateway", "worker"] {
        assert_refused(&start(role, &redis.url()).await, "noeviction");
    }
}

#[tokio::test]
async fn a_wrong_redis_password_is_refused_and_not_shown() {
    let _guard = test_lock::shared().await;
    let redis = Redis::start(RedisOptions::default()).await;
    let redis = redis.expect("Redis starts");
    let set_password = ["ACL", "SETUSER", "default", "resetpass", ">right"];
    redis
        .cli(&set_password)
        .await
        .expect("Redis sets the password");
    let url = redis.url().replace("redis://", "redis://:wrong-secret@");
    let exited = start("worker", &url).await;
    assert_refused(&exited, "password");
    assert!(
        !exited.stderr.contains("wrong-secret"),
        "the message shows the password: {exited:?}"
    );
}
