-- Writes the usage of a tenant, if it still has the expected version. KEYS: the usage. ARGV: expected version or '', the version
-- of this swap, the new value, how long it is kept in milliseconds. A value begins with its version. Returns 1 if the usage now has
-- the version of this swap.
local expected, own, value, ttl = unpack(ARGV)
local stored = redis.call('GET', KEYS[1])
local version = stored and string.sub(stored, 1, 32) or ''
-- Equal versions: an earlier request of this swap took effect, and its response was lost.
if version == own then return 1 end
-- A value without a version is broken. It is not taken for missing usage.
if stored and string.len(version) < 32 then return 0 end
if version ~= expected then return 0 end
redis.call('SET', KEYS[1], value, 'PX', ttl)
return 1
