-- Times are milliseconds since the Unix epoch. Ids, classes and states are text.

-- One row for each lane: its document, and the parts of the document that queries need as columns.
-- `token` is the lane's version.
CREATE TABLE lanes (
    key        TEXT    NOT NULL PRIMARY KEY,
    token      BLOB    NOT NULL,
    entries    INTEGER NOT NULL,
    head       TEXT,
    head_state TEXT,                -- 'ready', 'waiting', 'running'; NULL without a head
    class      TEXT,
    worker     TEXT,
    doc        TEXT    NOT NULL
) STRICT;
CREATE INDEX lanes_running ON lanes (key) WHERE head_state = 'running';
CREATE INDEX lanes_ready ON lanes (class, key) WHERE head_state = 'ready';

-- Written once, when a job is admitted. The request is the last column, because it is large and rarely read.
CREATE TABLE jobs (
    n          INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    keep_until INTEGER NOT NULL,    -- 0 for no limit
    meta       TEXT    NOT NULL,
    request    TEXT    NOT NULL
) STRICT;

-- Written once, when a job ends. It is a table of its own, so that the end of a job does not rewrite its request.
CREATE TABLE outcomes (
    n          INTEGER PRIMARY KEY, -- jobs.n
    forget_at  INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    settled    INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;
CREATE INDEX outcomes_forget ON outcomes (forget_at);

-- Exactly one row for each live job.
CREATE TABLE timers (
    job         TEXT    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    lane        TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    waiting     INTEGER NOT NULL,   -- 1 while no worker runs the job
    admitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_at ON timers (at);
CREATE INDEX timers_waiting ON timers (tenant, class, admitted_at) WHERE waiting = 1;

CREATE TABLE sessions (
    n            INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    session      TEXT    NOT NULL,
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
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_use ON sessions (used_at) WHERE expires_at IS NOT NULL;

CREATE TABLE turns (
    session INTEGER NOT NULL,       -- sessions.n
    seq     INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    doc     TEXT    NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    tenant     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_expiry ON keys (expires_at);

CREATE TABLE counts (
    tenant         TEXT    NOT NULL,
    class          TEXT    NOT NULL,
    ready          INTEGER NOT NULL,
    in_flight      INTEGER NOT NULL,
    behind_session INTEGER NOT NULL,
    retry_wait     INTEGER NOT NULL,
    ended          INTEGER NOT NULL,
    PRIMARY KEY (tenant, class)
) STRICT, WITHOUT ROWID;
