-- Deletes expired sessions and their entries in the indexes.
-- KEYS: the index by expiry. ARGV: prefix, now, limit. Returns how many were deleted.
local p = ARGV[1]
local expired = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, session in ipairs(expired) do
  redis.call('DEL', p .. 's:' .. session, p .. 'u:' .. session)
  -- A session with live jobs is not in the index, so its lane can only have a hold.
  redis.call('DEL', p .. 'l:s/' .. session)
  redis.call('ZREM', p .. 'su', session)
  redis.call('ZREM', KEYS[1], session)
end
return #expired
