-- API keys that were made at run time, as documents, and the version of the set, which has one row at most.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    doc TEXT NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys_version (
    n INTEGER PRIMARY KEY CHECK (n = 1),
    version BLOB NOT NULL
) STRICT;
