-- Stores counts for all processes, unless newer ones are stored. KEYS: the stored counts. ARGV: the time of the sum, the counts,
-- now. Returns 1 if the counts were stored, 0 if not.
local at, counts, now = unpack(ARGV)
local stored_at = redis.call('HGET', KEYS[1], 'at')
-- A stored time that is a second or more ahead is not valid, as in `recent_counts.lua`.
local is_newer = stored_at and tonumber(stored_at) >= tonumber(at) and tonumber(stored_at) - tonumber(now) < 1000
if is_newer then return 0 end
redis.call('HSET', KEYS[1], 'at', at, 'counts', counts)
return 1
