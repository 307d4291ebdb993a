-- Each claim and each end writes its lane, so a lane is one row in one tree: no row number, and no index of what
-- is only looked for when a process starts or a worker is lost. `deadline`, the head's, lets a head be woken without
-- its lane's document.
CREATE TABLE lanes_2 (
    key        TEXT    NOT NULL PRIMARY KEY,
    token      BLOB    NOT NULL,
    entries    INTEGER NOT NULL,
    head       TEXT,
    head_state TEXT,                -- 'ready', 'waiting', 'running'; absent without a head
    class      TEXT,
    worker     TEXT,
    deadline   INTEGER,
    doc        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO lanes_2
    SELECT key, token, entries, head, head_state, class, worker,
        json_extract(doc, '$.entries[0].deadline'), doc
    FROM lanes;
DROP TABLE lanes;
ALTER TABLE lanes_2 RENAME TO lanes;
