-- Idempotency keys come in no order. A key's row has a row number that rises with each new key, so new rows share pages, and only
-- a narrow index is in the order of the keys.
CREATE TABLE keys_2 (
    n          INTEGER PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    UNIQUE (tenant, key)
) STRICT;
CREATE INDEX keys_expire ON keys_2 (expires_at);
INSERT INTO keys_2 (tenant, key, expires_at, entry) SELECT tenant, key, expires_at, entry FROM keys;
DROP TABLE keys;
ALTER TABLE keys_2 RENAME TO keys;
