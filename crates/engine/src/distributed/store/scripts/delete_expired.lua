-- Deletes expired sessions, their lanes and their entries in the indexes.
-- KEYS: the index by expiry. ARGV: prefix, now, limit. Returns how many sessions were deleted.
local prefix = ARGV[1]
local expired = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, session in ipairs(expired) do
  redis.call('DEL', prefix .. 's:' .. session, prefix .. 'u:' .. session)
  -- A session with live jobs is not in the index. So the lane of this session has no jobs. A hold may be left in it.
  redis.call('DEL', prefix .. 'l:s/' .. session)
  redis.call('ZREM', prefix .. 'su', session)
  redis.call('ZREM', KEYS[1], session)
end
return #expired
