//! The keys of a Redis server as JSON, with one key in each line.

use serde_json::{Value, json};
use servers::redis::{Redis, RedisReply};

/// Returns all keys with their values and expiry times.
pub(crate) async fn dump(redis: &Redis) -> String {
    let mut keys = list(redis, &["KEYS", "*"]).await;
    keys.sort();
    let mut lines = String::new();
    for key in keys {
        let kind = redis
            .cli(&["TYPE", &key])
            .await
            .expect("Redis returns the type");
        let expires_at = redis
            .cli(&["PEXPIRETIME", &key])
            .await
            .expect("Redis returns the expiry time");
        let value = match kind.as_str() {
            "string" => vec![
                redis
                    .cli(&["GET", &key])
                    .await
                    .expect("Redis returns the value"),
            ],
            "hash" => list(redis, &["HGETALL", &key]).await,
            "list" => list(redis, &["LRANGE", &key, "0", "-1"]).await,
            "zset" => list(redis, &["ZRANGE", &key, "0", "-1", "WITHSCORES"]).await,
            other => panic!("the key {key} has the unknown type {other}"),
        };
        let line = json!({"key": key, "type": kind, "expires_at": expires_at, "value": value});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

/// Creates the key of each line.
pub(crate) async fn load(redis: &Redis, lines: &str) {
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("the line is JSON");
        let text = |name: &str| line[name].as_str().expect("the field is text");
        let key = text("key");
        let values = line["value"].as_array().expect("the value is an array");
        let mut values: Vec<&str> = values
            .iter()
            .map(|value| value.as_str().expect("the field is text"))
            .collect();
        let command = match text("type") {
            "string" => "SET",
            "hash" => "HSET",
            "list" => "RPUSH",
            _ => {
                // ZRANGE returns each member before its score, but ZADD expects the score before the member.
                values.chunks_mut(2).for_each(<[_]>::reverse);
                "ZADD"
            }
        };
        let command = [&[command, key], &values[..]].concat();
        redis
            .command(&command)
            .await
            .expect("Redis creates the key");
        let expires_at = text("expires_at");
        if expires_at != "-1" {
            let expire = ["PEXPIREAT", key, expires_at];
            redis
                .command(&expire)
                .await
                .expect("Redis sets the expiry time");
        }
    }
}

/// The items of the array that a command returns.
pub(crate) async fn list(redis: &Redis, command: &[&str]) -> Vec<String> {
    match redis.command(command).await.expect("Redis replies") {
        RedisReply::Array(items) => items.iter().map(ToString::to_string).collect(),
        other => panic!("{command:?} returned {other}"),
    }
}
