-- Replaces the entry of an idempotency key, if it still is the expected entry. KEYS: the idempotency key.
-- ARGV: the expected entry, the new entry, the time to live in ms. Returns 1 if the key has the new entry now.
local stored = redis.call('GET', KEYS[1])
-- If the new entry is stored already, an earlier request of this swap may have taken effect without a response.
if stored ~= ARGV[1] and stored ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
