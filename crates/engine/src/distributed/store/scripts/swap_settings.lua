-- Replaces the settings of a session, if they are as expected. KEYS: the session. ARGV: prefix, session, now, the new expiry if
-- the session has no live jobs; then the expected attributes, default model and other defaults, and the new ones, each '' if not set.
-- Returns 1 with the times of creation and last change, the position of the oldest turn, the gaps, the number and the bytes of the
-- turns, the expiry or 0, and the number of live jobs; {2} if the settings are neither the expected nor the new
-- ones; {3} if there is no such session.
local prefix, session, now, expires_at = unpack(ARGV, 1, 4)
local turns_key = prefix .. 'u:' .. session
local stored = redis.call('HMGET', KEYS[1], 'created_at', 'updated_at', 'bytes', 'dropped', 'attributes', 'model', 'defaults', 'gaps')
local created_at, updated_at, bytes, dropped = unpack(stored, 1, 4)
local live_jobs = live_job_count(redis.call('GET', prefix .. 'l:s/' .. session))
if not created_at or (live_jobs == 0 and is_expired(prefix, session, now)) then return {3} end
local is_expected, is_next = true, true
for index = 1, 3 do
  local value = stored[4 + index] or ''
  is_expected = is_expected and value == ARGV[4 + index]
  is_next = is_next and value == ARGV[7 + index]
end
-- If the new settings are stored already, an earlier request of this change may have taken effect without a response.
if not is_expected and not is_next then return {2} end
if tonumber(updated_at) < tonumber(now) then updated_at = now end
redis.call('HSET', KEYS[1], 'updated_at', updated_at)
-- Releases without a list of sessions have not listed the session.
list_session(prefix, session, created_at)
for index, field in ipairs({'attributes', 'model', 'defaults'}) do
  local value = ARGV[7 + index]
  if value == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, value)
  end
end
if live_jobs == 0 then
  redis.call('ZADD', prefix .. 'su', 'GT', now, session)
  redis.call('ZADD', prefix .. 'sx', expires_at, session)
  local ttl = string.format('%.0f', math.max(tonumber(expires_at) - tonumber(now), 0))
  for _, key in ipairs({turns_key, KEYS[1], prefix .. 'l:s/' .. session}) do redis.call('PEXPIRE', key, ttl) end
end
local count = bytes == '0' and 0 or redis.call('LLEN', turns_key)
return {1, created_at, updated_at, tonumber(dropped or 0), stored[8], count, tonumber(bytes or 0), live_jobs == 0 and expires_at or 0, live_jobs}
