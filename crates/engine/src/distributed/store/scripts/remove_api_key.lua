-- Removes an API key. KEYS: the hash of the API keys, by id. ARGV: id, the new version of the hash. Returns 1 if
-- the key was there, otherwise 0.
local id, version = unpack(ARGV)
redis.call('HDEL', KEYS[1] .. ':used', id)
if redis.call('HDEL', KEYS[1], id) == 0 then return 0 end
redis.call('SET', KEYS[1] .. ':version', version)
return 1
