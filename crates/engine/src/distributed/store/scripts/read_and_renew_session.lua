-- Reads a session and records the read as a use. KEYS: the session.
-- ARGV: prefix, session, now, the new expiry if the session has no live jobs.
-- Returns the times of creation and last change, the number of live jobs, the number and the bytes of the turns, the position
-- of the oldest turn, the session's gaps, the turns if they are small, and the settings if they are small.
local prefix, session, now, expires_at = unpack(ARGV)
local stored = redis.call('HMGET', KEYS[1], 'created_at', 'updated_at', 'bytes', 'dropped', 'gaps', 'attributes', 'model')
if not stored[1] then return false end
local lane_key = prefix .. 'l:s/' .. session
local live_jobs = live_job_count(redis.call('GET', lane_key))
if live_jobs == 0 then
  if is_expired(prefix, session, now) then return false end
  redis.call('ZADD', prefix .. 'su', 'GT', now, session)
  redis.call('ZADD', prefix .. 'sx', expires_at, session)
  -- The times are of the store's clock, which may differ from the server's clock. So only their difference is given to Redis.
  local ttl = string.format('%.0f', tonumber(expires_at) - tonumber(now))
  redis.call('PEXPIRE', prefix .. 'u:' .. session, ttl)
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', lane_key, ttl)
end
local turns_key, bytes, count, turns = prefix .. 'u:' .. session, tonumber(stored[3] or 0), 0, {}
-- With 0 bytes the session has no turns. Then the list, if there is one, is left over from a session whose hash is gone.
if stored[3] ~= '0' then
  count = redis.call('LLEN', turns_key)
  turns = bytes <= inline_bytes_max and redis.call('LRANGE', turns_key, 0, -1)
end
local settings_bytes = #(stored[6] or '') + #(stored[7] or '') + redis.call('HSTRLEN', KEYS[1], 'defaults')
local settings = false
if settings_bytes <= inline_bytes_max then
  settings = {stored[6], stored[7], redis.call('HGET', KEYS[1], 'defaults')}
end
return {stored[1], stored[2], live_jobs, count, bytes, tonumber(stored[4] or 0), stored[5], turns, settings}
