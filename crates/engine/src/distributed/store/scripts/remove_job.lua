-- Removes the record of a job that has ended. Only the summary of its outcome stays, with a fence that is higher by 1, as long as
-- the id must be kept. KEYS: the record. ARGV: the tenant, now, the shortest time in ms for which the id is kept, the job, prefix,
-- the shortest time in ms for which the id of a job with an idempotency key is kept.
-- Returns 0 if the tenant has no such job, 1 if it was removed, 2 if it is live.
local meta, mark, keep_until = unpack(redis.call('HMGET', KEYS[1], 'meta', 'mark', 'keep_until'))
local decoded = meta and cjson.decode(meta)
if not decoded or decoded.tenant ~= ARGV[1] then return 0 end
if not mark then return 2 end
local summary = cjson.decode(mark)
summary[2] = summary[2] + 1
redis.call('DEL', KEYS[1])
redis.call('ZREM', ARGV[5] .. 'jl', string.format('%s|%014.0f|%s', ARGV[1], decoded.created_at, ARGV[4]))
redis.call('HSET', KEYS[1], 'mark', cjson.encode(summary))
local keep_ms = tonumber(ARGV[3])
if tonumber(keep_until or 0) > 0 then
  keep_ms = math.max(tonumber(ARGV[6]), tonumber(keep_until) - tonumber(ARGV[2]))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep_ms))
return 1
