-- A lane has a row number, which rises with each new lane. So lanes that are written at the same time are close to each
-- other in the B-tree, whatever their keys. The rows that find a lane contain its number: the session of the lane, and the
-- timers of its jobs. The key's text is in no index.

-- The existing lanes get their numbers in the order in which their heads were admitted, because their jobs run in about this
-- order. The index is dropped again below. It exists before the rows, so that SQLite sorts nothing in memory.
CREATE TABLE lanes_2 (
    n          INTEGER PRIMARY KEY,
    key        TEXT    NOT NULL,
    token      BLOB    NOT NULL,
    entries    INTEGER NOT NULL,
    head       BLOB,
    head_state TEXT,                -- 'ready', 'waiting', 'deferred', 'running'; NULL without a head
    class      TEXT,
    worker     TEXT,
    deadline   INTEGER,
    doc        TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX lanes_2_key ON lanes_2 (key);
INSERT INTO lanes_2 (key, token, entries, head, head_state, class, worker, deadline, doc)
    SELECT key, token, entries, head, head_state, lanes.class, worker, deadline, doc
    FROM timers CROSS JOIN lanes ON lanes.key = timers.lane AND lanes.head = timers.job;
-- The lanes that only have a hold.
INSERT INTO lanes_2 (key, token, entries, head, head_state, class, worker, deadline, doc)
    SELECT key, token, entries, head, head_state, class, worker, deadline, doc
    FROM lanes
    WHERE NOT EXISTS (SELECT 1 FROM timers WHERE timers.job = lanes.head AND timers.lane = lanes.key);
DROP TABLE lanes;

CREATE TABLE timers_2 (
    job         BLOB    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    lane        INTEGER NOT NULL,   -- lanes.n
    lane_key    TEXT    NOT NULL,   -- lanes.key
    tenant      TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    waiting     INTEGER NOT NULL,   -- 1 while no worker runs the job
    admitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_due ON timers_2 (at);
CREATE INDEX timers_oldest ON timers_2 (tenant, class, admitted_at) WHERE waiting = 1;
-- No lane has the number 0. A timer gets it if its lane has no row. The sweeper removes such a timer when it is due.
INSERT INTO timers_2
    SELECT job, at, coalesce((SELECT n FROM lanes_2 WHERE key = lane), 0), lane, tenant, class, waiting, admitted_at
    FROM timers;
DROP TABLE timers;

CREATE TABLE sessions_2 (
    n            INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    session      TEXT    NOT NULL,
    lane         INTEGER,           -- lanes.n; NULL if the lane has no row
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    expires_at   INTEGER,           -- NULL while the session has live jobs
    turns        INTEGER NOT NULL,
    turns_bytes  INTEGER NOT NULL,
    next_seq     INTEGER NOT NULL,
    sent_bytes   INTEGER,           -- the measure of the session's tokens; both columns are NULL or neither
    input_tokens INTEGER,
    UNIQUE (tenant, session)
) STRICT;
CREATE INDEX sessions_expire ON sessions_2 (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_oldest ON sessions_2 (used_at) WHERE expires_at IS NOT NULL;
-- A lane of a session can only be found through the session's row. Each admission writes it, so none should be missing.
INSERT INTO sessions (tenant, session, created_at, updated_at, used_at, expires_at, turns, turns_bytes, next_seq)
    SELECT tenant, substr(key, length(tenant) + 4), admitted_at, admitted_at, admitted_at, NULL, 0, 0, 0
    FROM lanes_2 CROSS JOIN timers_2 ON timers_2.job = lanes_2.head
    WHERE key GLOB 's/*' AND NOT EXISTS (
        SELECT 1 FROM sessions
        WHERE sessions.tenant = timers_2.tenant AND sessions.session = substr(key, length(timers_2.tenant) + 4)
    );
INSERT INTO sessions_2
    SELECT n, tenant, session, (SELECT n FROM lanes_2 WHERE key = 's/' || tenant || '/' || session),
        created_at, updated_at, used_at, expires_at, turns, turns_bytes, next_seq, sent_bytes, input_tokens
    FROM sessions;
DROP TABLE sessions;

CREATE TABLE deferred_2 (
    lane        INTEGER PRIMARY KEY, -- lanes.n
    lane_key    TEXT    NOT NULL,
    job         BLOB    NOT NULL,
    account     TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    admitted_at INTEGER NOT NULL,
    claimed     INTEGER NOT NULL    -- 1 if a worker has claimed the head
) STRICT;
CREATE INDEX deferred_oldest ON deferred_2 (account, class, admitted_at);
INSERT INTO deferred_2
    SELECT lanes_2.n, lane, job, account, deferred.class, admitted_at, claimed
    FROM deferred CROSS JOIN lanes_2 ON lanes_2.key = deferred.lane;
DROP TABLE deferred;

DROP INDEX lanes_2_key;
ALTER TABLE lanes_2 RENAME TO lanes;
ALTER TABLE timers_2 RENAME TO timers;
ALTER TABLE sessions_2 RENAME TO sessions;
ALTER TABLE deferred_2 RENAME TO deferred;

-- The triggers of `sessions` were dropped with the table.
CREATE TRIGGER sessions_come AFTER INSERT ON sessions
BEGIN
    UPDATE totals SET sessions = sessions + 1;
END;
CREATE TRIGGER sessions_go AFTER DELETE ON sessions
BEGIN
    UPDATE totals SET sessions = sessions - 1;
END;
