-- The newest known state of the store's clock: the time, and the difference between the system's clock and this time. A restart
-- does not turn the clock back behind this time.
CREATE TABLE clock (
    time     INTEGER NOT NULL,      -- 0 in a new database
    shift_ms INTEGER NOT NULL
) STRICT;
INSERT INTO clock
    SELECT max(coalesce((SELECT max(admitted_at) FROM timers), 0), coalesce((SELECT max(used_at) FROM sessions), 0)), 0;
