-- Records when API keys were used last. KEYS: the hash of the API keys, by id. ARGV: an id and a time in milliseconds for each. Returns 1.
local used = KEYS[1] .. ':used'
for i = 1, #ARGV, 2 do
  local id, at = ARGV[i], ARGV[i + 1]
  local recorded = redis.call('HGET', used, id)
  local is_newer = not recorded or tonumber(recorded) < tonumber(at)
  if is_newer and redis.call('HEXISTS', KEYS[1], id) == 1 then redis.call('HSET', used, id, at) end
end
return 1
