-- The limits of tenants, as JSON. The version changes with each change of the limits.
CREATE TABLE tenant_limits (
    tenant TEXT PRIMARY KEY,
    limits TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tenant_limits_version (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version  BLOB NOT NULL
) STRICT;
