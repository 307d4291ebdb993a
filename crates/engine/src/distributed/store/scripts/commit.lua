-- Writes a change of a lane: all of it, or nothing. KEYS: the lane.
-- ARGV: prefix, expected version or '', document or '', code of the head, time; then what `load.lua` takes
-- after the prefix (session or '', number of jobs to read the outcomes of, those jobs, job to read the work of or '');
-- then the lists of `commit.rs`, each preceded by its length.
-- Returns 1, or on a conflict what `load.lua` returns.
--
-- An error does not undo earlier writes of a script. So every check comes before the first write, and no
-- later write can fail because of an argument.
local p, expected, document, code, at, session = unpack(ARGV, 1, 6)
local outcomes = tonumber(ARGV[7])
local old = redis.call('GET', KEYS[1])
local i = 9 + outcomes
local function take()
  i = i + 1
  return ARGV[i - 1]
end

local admitted = tonumber(take())
local conflict = (old and string.sub(old, 1, 32) or '') ~= expected
for n = 0, admitted - 1 do
  conflict = conflict or redis.call('EXISTS', p .. 'j:' .. ARGV[i + 4 * n]) == 1
end
if conflict then
  return lane_reply(p, old, session, 8, outcomes, ARGV[8 + outcomes])
end

local was_live = entries(old) > 0

-- The lane, and the index of heads.
local lane = string.sub(KEYS[1], #p + 3)
if document == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], document)
end
local old_code = old and string.sub(old, 34, 34) or '-'
if old_code ~= code then
  if old_code ~= '-' then redis.call('ZREM', p .. 'h', old_code .. lane) end
  if code ~= '-' then redis.call('ZADD', p .. 'h', 0, code .. lane) end
end

-- Records of new jobs.
for _ = 1, admitted do
  local key = p .. 'j:' .. take()
  redis.call('HSET', key, 'meta', take(), 'request', take(), 'keep_until', take(), 'lane', lane)
end

-- Jobs that ended before and are live again.
for _ = 1, tonumber(take()) do
  local key = p .. 'j:' .. take()
  redis.call('HDEL', key, 'mark', 'outcome')
  redis.call('PERSIST', key)
end

-- Timers, and the index of jobs that no worker runs, by time of admission.
for _ = 1, tonumber(take()) do
  local job, timer, waiting, since = take(), take(), p .. 'w:' .. take(), take()
  redis.call('ZADD', p .. 't', timer, job)
  if since == '' then
    redis.call('ZREM', waiting, job)
  else
    redis.call('ZADD', waiting, since, job)
  end
end

-- Outcomes. A job that ends loses its timer.
for _ = 1, tonumber(take()) do
  local job, waiting, summary, outcome, forget_at = take(), p .. 'w:' .. take(), take(), take(), take()
  local key = p .. 'j:' .. job
  local keep_until = redis.call('HGET', key, 'keep_until')
  if keep_until then
    redis.call('HSET', key, 'mark', summary, 'outcome', outcome)
    if tonumber(keep_until) > tonumber(forget_at) then forget_at = keep_until end
    redis.call('PEXPIREAT', key, forget_at)
  end
  redis.call('ZREM', p .. 't', job)
  redis.call('ZREM', waiting, job)
end

-- Counts.
for _ = 1, tonumber(take()) do
  redis.call('HINCRBY', p .. 'c', take(), take())
end

-- The session: one change or none. A session has an expiry only while it has no live jobs.
for _ = 1, tonumber(take()) do
  local s, u = p .. 's:' .. session, p .. 'u:' .. session
  local expires_at, turns_max, bytes_max = take(), tonumber(take()), tonumber(take())
  local is_live = expires_at == ''
  local sent_bytes, input_tokens = take(), take()
  local row = redis.call('HMGET', s, 'updated_at', 'bytes')
  local bytes = tonumber(row[2] or 0)
  local turns = redis.call('LLEN', u)
  for _ = 1, tonumber(take()) do
    local turn = take()
    turns = redis.call('RPUSH', u, turn)
    bytes = bytes + #turn
  end
  -- The newest turn stays, whatever its size.
  while turns > 1 and (turns > turns_max or bytes > bytes_max) do
    bytes = bytes - #redis.call('LPOP', u)
    turns = turns - 1
  end
  local updated_at = row[1]
  if not updated_at then redis.call('HSET', s, 'created_at', at) end
  if not updated_at or tonumber(updated_at) < tonumber(at) then updated_at = at end
  redis.call('HSET', s, 'updated_at', updated_at, 'bytes', bytes)
  if sent_bytes ~= '' then
    redis.call('HSET', s, 'sent_bytes', sent_bytes, 'input_tokens', input_tokens)
  end
  if is_live ~= was_live then redis.call('HINCRBY', p .. 'c', '#', is_live and 1 or -1) end
  if not is_live then
    redis.call('ZADD', p .. 'su', updated_at, session)
    redis.call('ZADD', p .. 'sx', expires_at, session)
    redis.call('PEXPIREAT', u, expires_at)
    redis.call('PEXPIREAT', s, expires_at)
    -- A hold expires together with its session.
    if document ~= '' then redis.call('PEXPIREAT', KEYS[1], expires_at) end
  elseif not was_live then
    redis.call('ZREM', p .. 'su', session)
    redis.call('ZREM', p .. 'sx', session)
    redis.call('PERSIST', u)
    redis.call('PERSIST', s)
  end
end

-- Notices.
for _ = 1, tonumber(take()) do
  redis.call('PUBLISH', take(), take())
end
return 1
