-- Removes an API key. KEYS: the keys. ARGV: id, the next version of the set. Returns 1 if the key was there.
local id, version = unpack(ARGV)
redis.call('HDEL', KEYS[1] .. ':used', id)
if redis.call('HDEL', KEYS[1], id) == 0 then return 0 end
redis.call('SET', KEYS[1] .. ':version', version)
return 1
