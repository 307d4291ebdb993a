-- The list of a tenant's jobs by time of creation, and then by id as text. An id as text begins with the partition, which is the
-- last byte in the column. The rows of removed jobs have no tenant and no metadata.

-- An index over JSON accepts no other text. Such a record cannot be read, neither before nor after this.
UPDATE jobs SET meta = '{}' WHERE NOT json_valid(meta);
CREATE INDEX jobs_listed ON jobs (tenant, json_extract(meta, '$.created_at'), substr(id, 17), id) WHERE tenant <> '';
