-- Reads all API keys. KEYS: their hash, by id. Returns the version of the hash or '', the ids and documents, and the ids and times
-- of last uses.
local version = redis.call('GET', KEYS[1] .. ':version') or ''
return {version, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[1] .. ':used')}
