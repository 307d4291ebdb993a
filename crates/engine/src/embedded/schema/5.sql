-- Whether a worker has claimed the deferred head (1) or not (0).
ALTER TABLE deferred ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;
UPDATE deferred SET claimed = 1
WHERE EXISTS (
    SELECT 1 FROM lanes
    WHERE lanes.key = deferred.lane AND json_extract(lanes.doc, '$.entries[0].claimed')
);
