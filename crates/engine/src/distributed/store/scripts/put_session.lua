-- Creates a session, or replaces one that has no live jobs, with its turns and settings. Removes the hold of its lane.
-- KEYS: the session. ARGV: prefix, session, now, its expiry, the id of this write, '1' to only create it; its attributes, its default
-- model and its other defaults, each '' if not set; then the turns.
-- Returns 1 if it was created and 2 if it was replaced, each with the times of creation and last change, the position of the oldest
-- turn, the gaps, the number and the bytes of the turns, the expiry or 0, and the number of live jobs; {3} if it has live jobs;
-- {4} if it exists and should only be created.
local prefix, session, now, expires_at, id, only_create = unpack(ARGV, 1, 6)
local settings_arg, turns_arg = 7, 10
local session_key, turns_key, lane_key = KEYS[1], prefix .. 'u:' .. session, prefix .. 'l:s/' .. session
local stored = redis.call('HMGET', session_key, 'created_at', 'updated_at', 'bytes', 'dropped', 'written_by', 'gaps')
local created_at, updated_at, bytes, dropped, written_by, gaps = unpack(stored, 1, 6)

-- If an earlier request of this write took effect and its response was lost, returns its result again.
local live_jobs = live_job_count(redis.call('GET', lane_key))
for code, kind in ipairs({'created ', 'replaced '}) do
  if written_by == kind .. id then
    local count = bytes == '0' and 0 or redis.call('LLEN', turns_key)
    local stored_expiry = live_jobs == 0 and redis.call('ZSCORE', prefix .. 'sx', session) or 0
    return {code, created_at, updated_at, tonumber(dropped or 0), gaps, count, tonumber(bytes), stored_expiry, live_jobs}
  end
end
-- A session with live jobs is not in the index by expiry.
local has_expired = is_expired(prefix, session, now)
local is_new = has_expired or not created_at
if not is_new and only_create == '1' then return {4} end
if live_jobs > 0 then return {3} end

-- A list of turns may be left over from a session whose hash is gone. With 0 bytes the session has no turns.
local replaced = 0
if not is_new and bytes ~= '0' then replaced = redis.call('LLEN', turns_key) end
redis.call('DEL', turns_key, lane_key)
if has_expired then redis.call('DEL', session_key) end
bytes = 0
for first = turns_arg, #ARGV, 1000 do
  -- `unpack` is limited to some thousand values.
  local last = math.min(first + 999, #ARGV)
  redis.call('RPUSH', turns_key, unpack(ARGV, first, last))
  for index = first, last do bytes = bytes + #ARGV[index] end
end
if is_new then
  created_at, updated_at, dropped, gaps = now, now, 0, false
else
  if tonumber(updated_at) < tonumber(now) then updated_at = now end
  -- The replaced turns count as dropped, so that no turn gets a number that was used before.
  dropped = tonumber(dropped or 0) + replaced
end
-- The token measure belongs to the turns that were replaced.
redis.call('HDEL', session_key, 'sent_bytes', 'input_tokens')
local kind = is_new and 'created ' or 'replaced '
redis.call('HSET', session_key, 'created_at', created_at, 'updated_at', updated_at, 'bytes', bytes, 'written_by', kind .. id)
if dropped > 0 then redis.call('HSET', session_key, 'dropped', dropped) end
if gaps then
  gaps = write_gaps(read_gaps(gaps), dropped)
  redis.call('HSET', session_key, 'gaps', gaps)
end
for index, field in ipairs({'attributes', 'model', 'defaults'}) do
  local value = ARGV[settings_arg + index - 1]
  if value == '' then
    redis.call('HDEL', session_key, field)
  else
    redis.call('HSET', session_key, field, value)
  end
end
list_session(prefix, session, created_at)
-- `counts.lua` skips a partition whose hash of counts is empty. With this field, the hash is not empty, so the session is counted.
redis.call('HSETNX', prefix .. 'c', '#', 0)
-- A session without live jobs is in the indexes by use and by expiry.
redis.call('ZADD', prefix .. 'su', updated_at, session)
redis.call('ZADD', prefix .. 'sx', expires_at, session)
local ttl = string.format('%.0f', math.max(tonumber(expires_at) - tonumber(now), 0))
redis.call('PEXPIRE', turns_key, ttl)
redis.call('PEXPIRE', session_key, ttl)
return {is_new and 1 or 2, created_at, updated_at, dropped, gaps, #ARGV - turns_arg + 1, bytes, expires_at, 0}
