-- The heads that wait until their provider may be called: the index of deferred heads. A lane whose head does not wait has
-- no row, so its commits cost nothing.
CREATE TABLE deferred (
    lane        TEXT    NOT NULL PRIMARY KEY,
    job         BLOB    NOT NULL,
    account     TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    admitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deferred_order ON deferred (account, class, admitted_at);

-- The number of rows in `deferred` for each account and class. Without this table, each count would read all rows.
CREATE TABLE deferred_counts (
    account TEXT    NOT NULL,
    class   TEXT    NOT NULL,
    heads   INTEGER NOT NULL,
    PRIMARY KEY (account, class)
) STRICT, WITHOUT ROWID;

ALTER TABLE counts ADD COLUMN provider_wait INTEGER NOT NULL DEFAULT 0;
-- The column `head_state` of `lanes` may be 'deferred' from now on.
