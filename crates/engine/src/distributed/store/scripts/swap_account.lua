-- Writes or removes an account, if it still has the expected version. KEYS: the accounts.
-- ARGV: account, expected version or '', the version of this swap, the new value or '', the maximum number of accounts, the channel of
-- the notice, the notice. A value begins with its version. Returns 1 if the account now has the version of this swap, or was
-- removed.
local account, expected, own, value = unpack(ARGV, 1, 4)
local stored = redis.call('HGET', KEYS[1], account)
local version = stored and string.sub(stored, 1, 32) or ''
-- Equal versions: an earlier request of this swap took effect, and its response was lost.
if version == own then return 1 end
-- A value without a version is broken. It is not taken for a missing account.
if stored and string.len(version) < 32 then return 0 end
if version ~= expected then return 0 end
if value == '' then
  redis.call('HDEL', KEYS[1], account)
else
  if not stored and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 0 end
  redis.call('HSET', KEYS[1], account, value)
end
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
