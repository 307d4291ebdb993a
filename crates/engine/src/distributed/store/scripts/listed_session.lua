-- Reads a session for the list. This does not count as a use of the session. KEYS: the session. ARGV: prefix, session, now.
-- Returns the times of creation and last change, the position of the oldest turn, the gaps, the number and the bytes of the
-- turns, the expiry or 0, the number of live jobs, the attributes and the default model; nil if there is no such session.
local prefix, session, now = unpack(ARGV)
local stored = redis.call('HMGET', KEYS[1], 'created_at', 'updated_at', 'bytes', 'dropped', 'attributes', 'model', 'gaps')
if not stored[1] then return false end
local live_jobs = live_job_count(redis.call('GET', prefix .. 'l:s/' .. session))
local expires_at = redis.call('ZSCORE', prefix .. 'sx', session)
if live_jobs > 0 then
  expires_at = 0
elseif expires_at and tonumber(expires_at) <= tonumber(now) then
  return false
end
local count = stored[3] == '0' and 0 or redis.call('LLEN', prefix .. 'u:' .. session)
return {
  stored[1], stored[2], tonumber(stored[4] or 0), stored[7], count, tonumber(stored[3] or 0), expires_at or 0, live_jobs,
  stored[5], stored[6],
}
