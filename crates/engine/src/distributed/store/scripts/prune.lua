-- Takes sessions whose time is over out of the indexes; Redis drops the rest of them by itself.
-- KEYS: the index by expiry. ARGV: prefix, now, the most at once. Returns how many went.
local p = ARGV[1]
local over = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, session in ipairs(over) do
  redis.call('DEL', p .. 's:' .. session, p .. 'u:' .. session)
  -- With live jobs it would not be in the index: what is left of the lane is a hold.
  redis.call('DEL', p .. 'l:s/' .. session)
  redis.call('ZREM', p .. 'su', session)
  redis.call('ZREM', KEYS[1], session)
end
return #over
