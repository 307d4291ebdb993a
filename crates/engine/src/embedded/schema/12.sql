-- What clients have set for sessions. Most sessions have no row. The settings are not in `sessions`, because each change of a row
-- there would write large settings again.
CREATE TABLE session_settings (
    session    INTEGER PRIMARY KEY, -- sessions.n
    attributes TEXT,
    model      TEXT,
    defaults   TEXT,
    written_by TEXT                 -- the last write of the whole session: its result and its id
) STRICT;

-- The list of a tenant's sessions by time of creation.
CREATE INDEX sessions_listed ON sessions (tenant, created_at, session);
