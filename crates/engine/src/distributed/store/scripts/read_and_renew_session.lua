-- Reads a session and records the read as a use. KEYS: the session.
-- ARGV: prefix, session, now, the new expiry if the session has no live jobs.
-- Returns the times of creation and last change, the number of live jobs, and the turns.
local prefix, session, now, expires_at = unpack(ARGV)
local stored = redis.call('HMGET', KEYS[1], 'created_at', 'updated_at')
if not stored[1] then return false end
local lane_key = prefix .. 'l:s/' .. session
local live_jobs = live_job_count(redis.call('GET', lane_key))
if live_jobs == 0 then
  redis.call('ZADD', prefix .. 'su', 'GT', now, session)
  redis.call('ZADD', prefix .. 'sx', expires_at, session)
  redis.call('PEXPIREAT', prefix .. 'u:' .. session, expires_at)
  redis.call('PEXPIREAT', KEYS[1], expires_at)
  redis.call('PEXPIREAT', lane_key, expires_at)
end
return {stored[1], stored[2], live_jobs, redis.call('LRANGE', prefix .. 'u:' .. session, 0, -1)}
