-- The number of jobs behind the heads in `deferred` for each account and class of the head.
ALTER TABLE deferred_counts ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
UPDATE deferred_counts SET behind = (
    SELECT coalesce(sum(lanes.entries - 1), 0)
    FROM deferred JOIN lanes ON lanes.key = deferred.lane
    WHERE deferred.account = deferred_counts.account AND deferred.class = deferred_counts.class
);
