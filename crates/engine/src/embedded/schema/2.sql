-- The id of a job becomes 17 bytes that sort by time: the UUID, then the partition. (The text of an id begins with the
-- partition.) So jobs of the same time are close to each other in the B-tree, whatever their sessions.

-- Each claim and each end of a job writes the lane. So a lane is one row in one B-tree: the table has no row number, and
-- no index for the queries that only run when a process starts or a worker is lost. `deadline` is the head's; with it a
-- wake can be published without a read of the document.
CREATE TABLE lanes_2 (
    key        TEXT    NOT NULL PRIMARY KEY,
    token      BLOB    NOT NULL,
    entries    INTEGER NOT NULL,
    head       BLOB,
    head_state TEXT,                -- 'ready', 'waiting', 'running'; NULL without a head
    class      TEXT,
    worker     TEXT,
    deadline   INTEGER,
    doc        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO lanes_2
    SELECT key, token, entries, unhex(substr(head, 7) || substr(head, 5, 2)), head_state, class, worker,
        json_extract(doc, '$.entries[0].deadline'), doc
    FROM lanes;
DROP TABLE lanes;
ALTER TABLE lanes_2 RENAME TO lanes;

CREATE TABLE jobs_2 (
    n          INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    keep_until INTEGER NOT NULL,    -- 0 for no limit
    meta       TEXT    NOT NULL,
    request    TEXT    NOT NULL
) STRICT;
INSERT INTO jobs_2
    SELECT n, unhex(substr(id, 7) || substr(id, 5, 2)), tenant, keep_until, meta, request
    FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_2 RENAME TO jobs;

CREATE TABLE timers_2 (
    job         BLOB    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    lane        TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    waiting     INTEGER NOT NULL,   -- 1 while no worker runs the job
    admitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO timers_2
    SELECT unhex(substr(job, 7) || substr(job, 5, 2)), at, lane, tenant, class, waiting, admitted_at
    FROM timers;
DROP TABLE timers;
ALTER TABLE timers_2 RENAME TO timers;
CREATE INDEX timers_at ON timers (at);
CREATE INDEX timers_waiting ON timers (tenant, class, admitted_at) WHERE waiting = 1;

-- The number of sessions. Without this table, each count would read all sessions.
CREATE TABLE totals (
    sessions INTEGER NOT NULL
) STRICT;
INSERT INTO totals SELECT count(*) FROM sessions;
CREATE TRIGGER sessions_come AFTER INSERT ON sessions
BEGIN
    UPDATE totals SET sessions = sessions + 1;
END;
CREATE TRIGGER sessions_go AFTER DELETE ON sessions
BEGIN
    UPDATE totals SET sessions = sessions - 1;
END;
