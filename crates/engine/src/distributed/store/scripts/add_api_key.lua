-- Adds an API key. KEYS: the hash of the API keys, by id. ARGV: id, document, the new version of the hash, the maximum number of
-- keys. Returns 1 if the hash has this key now, 0 if there are too many keys or if the id has another document.
local id, doc, version, keys_max = unpack(ARGV)
local stored = redis.call('HGET', KEYS[1], id)
-- If the documents are equal, an earlier request took effect, and its response was lost.
if stored then return stored == doc and 1 or 0 end
if redis.call('HLEN', KEYS[1]) >= tonumber(keys_max) then return 0 end
redis.call('HSET', KEYS[1], id, doc)
redis.call('SET', KEYS[1] .. ':version', version)
return 1
