//! Reads and changes the JSON documents in a store, so that a test can write documents as a newer release would.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use servers::redis::Redis;
use uuid::Uuid;

use crate::redis_dump::list;

/// The name of a field that this release does not know.
const FIELD: &str = "future_field";
/// The objects whose field names clients or providers choose. A newer release would add no fields there.
const OPAQUE: [&str; 5] = [
    "metadata",
    "parameters",
    "schema",
    "extra_content",
    "extra_body",
];

/// The table and the column of one kind of documents in SQLite.
fn column(kind: &str) -> (&str, &str) {
    match kind {
        "lane" => ("lanes", "doc"),
        "meta" => ("jobs", "meta"),
        "request" => ("jobs", "request"),
        "outcome" => ("outcomes", "doc"),
        "turn" => ("turns", "doc"),
        _ => ("keys", "entry"),
    }
}

/// The kinds of documents.
const KINDS: [&str; 6] = ["lane", "meta", "request", "outcome", "turn", "key"];

/// A store whose documents a test reads and changes.
pub(crate) enum Stored<'a> {
    Sqlite(PathBuf),
    Redis(&'a Redis),
}

impl Stored<'_> {
    /// Adds an unknown field to every object of every document. Forebay must not change a document meanwhile.
    pub(crate) async fn add_future_fields(&self) {
        for kind in KINDS {
            self.change(kind, add_field).await;
        }
    }

    /// Sets the version of all documents of a kind. No process may change one of them meanwhile. A document of
    /// version 1 has no field for its version.
    pub(crate) async fn set_version(&self, kind: &'static str, version: u32) {
        let set = |document: &mut Value| {
            let fields = document.as_object_mut().expect("the value is an object");
            fields.remove("v");
            if version > 1 {
                fields.insert(String::from("v"), version.into());
            }
        };
        self.change(kind, set).await;
    }

    /// Changes all documents of a kind.
    async fn change(&self, kind: &'static str, change: impl Fn(&mut Value)) {
        let texts = self.texts(kind).await;
        assert!(!texts.is_empty(), "the store has no document: {kind}");
        for text in texts {
            // In Redis, a lane has one line before its JSON. The line begins with the `LaneVersion`, which every change of
            // the lane replaces.
            let (line, json) = text.split_at(text.find('\n').map_or(0, |end| end + 1));
            let mut document: Value = serde_json::from_str(json).expect("the document is JSON");
            change(&mut document);
            let line = line.split_once(';').map_or(String::new(), |(_, rest)| {
                format!("{};{rest}", Uuid::new_v4().simple())
            });
            self.replace(kind, &text, &format!("{line}{document}"))
                .await;
        }
    }

    /// All documents of a kind.
    pub(crate) async fn documents(&self, kind: &'static str) -> Vec<Value> {
        let texts = self.texts(kind).await.into_iter();
        texts
            .map(|text| {
                let json = text.rsplit('\n').next().expect("the text has a line");
                serde_json::from_str(json).expect("the document is JSON")
            })
            .collect()
    }

    /// The stored text of each document of a kind.
    async fn texts(&self, kind: &'static str) -> Vec<String> {
        match self {
            Self::Sqlite(path) => {
                let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
                let database = database.expect("the database opens");
                let (table, column) = column(kind);
                let sql = format!("SELECT {column} FROM {table}");
                let mut query = database.prepare(&sql).expect("the query is valid");
                let texts = query
                    .query_map([], |row| row.get(0))
                    .expect("the query returns rows");
                texts
                    .map(|text| text.expect("the column contains text"))
                    .collect()
            }
            Self::Redis(redis) => {
                let mut texts = Vec::new();
                for (key, field) in self.keys(kind).await {
                    let values = match (kind, field) {
                        ("turn", _) => list(redis, &["LRANGE", &key, "0", "-1"]).await,
                        (_, Some(field)) => vec![run(redis, &["HGET", &key, field]).await],
                        (_, None) => vec![run(redis, &["GET", &key]).await],
                    };
                    texts.extend(values.into_iter().filter(|text| !text.is_empty()));
                }
                texts
            }
        }
    }

    /// Replaces each document of a kind whose text is `old`.
    async fn replace(&self, kind: &'static str, old: &str, new: &str) {
        match self {
            Self::Sqlite(path) => {
                let database = Connection::open(path).expect("the database opens");
                let (table, column) = column(kind);
                // The column `token` contains the `LaneVersion`, which every change of the lane replaces.
                let set_version = if kind == "lane" {
                    ", token = randomblob(16)"
                } else {
                    ""
                };
                let sql =
                    format!("UPDATE {table} SET {column} = ?2{set_version} WHERE {column} = ?1");
                let changed = database
                    .execute(&sql, (old, new))
                    .expect("the documents are updated");
                assert!(
                    changed > 0,
                    "a process has changed a document meanwhile: {kind}"
                );
            }
            Self::Redis(redis) => {
                for (key, field) in self.keys(kind).await {
                    match (kind, field) {
                        ("turn", _) => {
                            let turns = list(redis, &["LRANGE", &key, "0", "-1"]).await;
                            for (index, _) in
                                turns.iter().enumerate().filter(|(_, turn)| *turn == old)
                            {
                                run(redis, &["LSET", &key, &index.to_string(), new]).await;
                            }
                        }
                        (_, Some(field)) => {
                            if run(redis, &["HGET", &key, field]).await == old {
                                run(redis, &["HSET", &key, field, new]).await;
                            }
                        }
                        (_, None) => {
                            if run(redis, &["GET", &key]).await == old {
                                run(redis, &["SET", &key, new, "KEEPTTL"]).await;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The Redis keys of a kind of documents. If the keys are hashes, each key comes with the field that contains the document.
    async fn keys(&self, kind: &'static str) -> Vec<(String, Option<&'static str>)> {
        let Self::Redis(redis) = self else {
            return Vec::new();
        };
        let (pattern, field) = match kind {
            "lane" => ("fb:{*}:l:*", None),
            "turn" => ("fb:{*}:u:*", None),
            "key" => ("fb:k:*", None),
            field => ("fb:{*}:j:*", Some(field)),
        };
        let keys = list(redis, &["KEYS", pattern]).await.into_iter();
        keys.map(|key| (key, field)).collect()
    }
}

/// Runs a command, and returns its reply as text.
async fn run(redis: &Redis, command: &[&str]) -> String {
    redis.cli(command).await.expect("Redis replies")
}

/// Adds the unknown field to an object and to all objects in it.
pub(crate) fn add_field(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), value) {
                    // A state is an object whose only key is the state's name.
                    ("state", Value::Object(state)) => state.values_mut().for_each(add_field),
                    (name, value) if !OPAQUE.contains(&name) => add_field(value),
                    _ => {}
                }
            }
            fields.insert(String::from(FIELD), future_value());
        }
        Value::Array(items) => items.iter_mut().for_each(add_field),
        _ => {}
    }
}

fn future_value() -> Value {
    json!({"deep": [1, "two", null, 1.5, {"three": true}]})
}

/// Asserts that the object still has the unknown field, unchanged. `description` names the object.
pub(crate) fn assert_kept(object: &Value, description: &str) {
    assert_eq!(
        object[FIELD],
        future_value(),
        "the field {FIELD} of {description} is lost or changed: {object}"
    );
}
