-- Writes a change of a lane: all of it, or nothing. KEYS: the lane.
-- ARGV: prefix, expected version or '', document or '', code of the head's state (`lane_document.rs`), time of the change; then the
-- arguments of `load.lua` after its prefix; '1' if the change needs the run inputs; the number of the first turn that the change replaces,
-- or ''; then the lists of `commit.rs`, each preceded by its length.
-- Returns 1 if the change is written, or {1, run inputs} if it needs them. On a conflict, writes nothing and returns the reply of
-- `load.lua`, which has three parts. Returns 2, and writes nothing, if the session has no turn with the number of
-- the first replaced turn.
--
-- What costs time here: a call of a Lua function, and the conversion of a text to a number and back. So the arguments are read with the
-- index `i`, and numbers that are known are given to Redis as text.
--
-- An error does not undo earlier writes of a script. So every check comes before the first write, and no
-- later write can fail because of an argument.
local prefix, expected, document, head_code, at, session = unpack(argv, 1, 6)
local outcome_count = tonumber(argv[7])
local run_inputs_of = argv[8 + outcome_count]
local needs_run_inputs = argv[9 + outcome_count] ~= ''
local replace_from = argv[10 + outcome_count]
local old = call('GET', KEYS[1])
-- The index of the next argument.
local i = 11 + outcome_count

-- The milliseconds until a time. All times are times of the store's clock, which may differ from the server's clock.
local function ms_until(time) return string.format('%.0f', math.max(time - at, 0)) end

local admitted = tonumber(argv[i])
i = i + 1
local conflict
if old then conflict = string.sub(old, 1, 32) ~= expected else conflict = expected ~= '' end
-- The list of new jobs has five arguments for each job, the id first.
for index = 0, admitted - 1 do
  conflict = conflict or call('EXISTS', prefix .. 'j:' .. argv[i + 5 * index]) == 1
end
-- The list of repaired jobs follows. It has four arguments for each job: the id, the fence of its outcome, its new metadata,
-- its entry in the list of jobs.
local repaired_arg = i + 5 * admitted
local repaired = argv[repaired_arg]
if repaired ~= '0' then
  for index = repaired_arg + 1, repaired_arg + 4 * repaired, 4 do
    local record = call('HMGET', prefix .. 'j:' .. argv[index], 'meta', 'mark')
    conflict = conflict or not record[1] or not record[2] or cjson.decode(record[2])[2] ~= tonumber(argv[index + 1])
  end
end
-- Whether all documents of the run inputs are certainly of version 1, which all releases read. A document counts as one of
-- another version if its version is not its first field, or if an inner object may have a field `v`.
local function all_of_first_version(inputs)
  for _, document in ipairs({inputs[1], inputs[2], inputs[6] or nil}) do
    if string.sub(document, 1, 7) ~= '{"v":1,' or string.find(document, '"v":', 7, true) then return false end
  end
  for _, turn in ipairs(inputs[5]) do
    if string.find(turn, '"v":', 1, true) then return false end
  end
  return true
end
local needed
if needs_run_inputs and not conflict then
  needed = run_inputs(prefix, session, run_inputs_of, inline_bytes_max)
  conflict = type(needed) ~= 'table' or not all_of_first_version(needed)
end
if conflict then return lane_reply(prefix, old, session, 8, outcome_count, run_inputs_of) end

-- The position of the first turn that is replaced; nil if no turn is.
local replaced_position
if replace_from ~= '' then
  local dropped, gaps, stored_bytes = unpack(call('HMGET', prefix .. 's:' .. session, 'dropped', 'gaps', 'bytes'))
  gaps = read_gaps(gaps)
  replaced_position = position_from(gaps, tonumber(replace_from))
  local index = replaced_position - tonumber(dropped or 0)
  local is_there = stored_bytes and stored_bytes ~= '0' and index >= 0 and index < call('LLEN', prefix .. 'u:' .. session)
  if not is_there or turn_number(gaps, replaced_position) ~= tonumber(replace_from) then return 2 end
end

local was_live = live_job_count(old) > 0
-- The job that ran before the commit; nil if none did.
local ran = old and string.match(old, '^%x+;r;%d+;([^;]*);')
local counts_key = prefix .. 'c'

-- The lane, and the index of heads.
local lane = string.sub(KEYS[1], #prefix + 3)
if document == '' then
  call('DEL', KEYS[1])
else
  call('SET', KEYS[1], document)
end
local old_head_code = old and string.sub(old, 34, 34) or '-'
if old_head_code ~= head_code then
  -- Deferred heads have an index of their own.
  if old_head_code ~= '-' and old_head_code ~= 'd' then call('ZREM', prefix .. 'h', old_head_code .. lane) end
  if head_code ~= '-' and head_code ~= 'd' then call('ZADD', prefix .. 'h', '0', head_code .. lane) end
end

-- Records of new jobs.
for _ = 1, admitted do
  call('HSET', prefix .. 'j:' .. argv[i], 'meta', argv[i + 1], 'request', argv[i + 2], 'keep_until', argv[i + 3], 'lane', lane)
  call('ZADD', prefix .. 'jl', '0', argv[i + 4])
  i = i + 5
end

-- Jobs that had ended and are live again.
i = i + 1
if repaired ~= '0' then
  for _ = 1, repaired do
    local key = prefix .. 'j:' .. argv[i]
    call('HSET', key, 'meta', argv[i + 2])
    -- Releases without a list of jobs have not listed the job.
    call('ZADD', prefix .. 'jl', '0', argv[i + 3])
    call('HDEL', key, 'mark', 'outcome')
    call('PERSIST', key)
    i = i + 4
  end
end

-- The indexes of deferred heads: the name of the index, and the tenant and class of the entry before the commit, or ''; then the same
-- of the entry after the commit, and its time of admission, or ''. A process of an older release counts a deferred head as one that
-- waits for its next try (`w`) and does not change the index:
--
-- - If the index lacks the head of the entry before, an older process has counted the head in `w`. So it is subtracted there.
-- - If the index has the head of the entry after already, an older process has subtracted the head from `w`, which did not
--   count it. So it is added again.
i = i + 1
if argv[i - 1] ~= '0' then
  local name, tenant_class, new_name, new_tenant_class, admitted_at = unpack(argv, i, i + 4)
  i = i + 5
  if name ~= '' and not remove_deferred(prefix, name, tenant_class, lane) then
    call('HINCRBY', counts_key, tenant_class .. '|w', -1)
  end
  if new_name ~= '' then
    if call('ZADD', prefix .. 'd:' .. new_name, admitted_at, lane) == 1 then
      count_deferred(prefix, new_name, new_tenant_class, 1)
    else
      call('HINCRBY', counts_key, new_tenant_class .. '|w', 1)
    end
  end
end

-- The counts of jobs behind deferred heads. They come after the index, because the last entry of an account that leaves the
-- index resets its count.
local behind = argv[i]
i = i + 1
if behind ~= '0' then
  for _ = 1, behind do
    count_behind(prefix, argv[i], argv[i + 1])
    i = i + 2
  end
end

-- Timers, and the index of queued jobs by time of admission. The time of admission is '' while a worker runs the job.
local timers = argv[i]
i = i + 1
for _ = 1, timers do
  local job, queued_key, admitted_at = argv[i], prefix .. 'w:' .. argv[i + 2], argv[i + 3]
  call('ZADD', prefix .. 't', argv[i + 1], job)
  if admitted_at == '' then
    call('ZREM', queued_key, job)
  else
    call('ZADD', queued_key, admitted_at, job)
  end
  i = i + 4
end

-- Outcomes. A job that ends loses its timer.
local outcomes = argv[i]
i = i + 1
if outcomes ~= '0' then
  for _ = 1, outcomes do
    local job, tenant_class, summary, outcome, deletable_at = unpack(argv, i, i + 4)
    local key = prefix .. 'j:' .. job
    local keep_until = call('HGET', key, 'keep_until')
    -- Every live job has a record. Without one, no read could find the outcome, so no outcome is written.
    if keep_until then
      call('HSET', key, 'mark', summary, 'outcome', outcome)
      if tonumber(keep_until) > tonumber(deletable_at) then deletable_at = keep_until end
      call('PEXPIRE', key, ms_until(deletable_at))
    end
    call('ZREM', prefix .. 't', job)
    -- A claim has taken the running job out of the index of queued jobs.
    if job ~= ran then call('ZREM', prefix .. 'w:' .. tenant_class, job) end
    i = i + 5
  end
end

-- Counts.
local counts = argv[i]
i = i + 1
for _ = 1, counts do
  call('HINCRBY', counts_key, argv[i], argv[i + 1])
  i = i + 2
end

-- The session: one change or none. A session has an expiry only while it has no live jobs.
i = i + 1
if argv[i - 1] ~= '0' then
  local session_key, turns_key = prefix .. 's:' .. session, prefix .. 'u:' .. session
  local expires_at, turns_max, bytes_max, sent_bytes, input_tokens = unpack(argv, i, i + 4)
  i = i + 5
  local is_live = expires_at == ''
  -- The indexes by use (`su`) and by expiry (`sx`) have the same sessions: those without live jobs.
  local indexed_expiry = not was_live and call('ZSCORE', prefix .. 'sx', session)
  -- A new job does not continue an expired session.
  if indexed_expiry and tonumber(indexed_expiry) <= tonumber(at) then call('DEL', session_key, turns_key) end
  local stored = call('HMGET', session_key, 'updated_at', 'bytes', 'dropped', 'gaps', 'created_at')
  local updated_at, bytes, first_position, gaps, created_at = unpack(stored, 1, 5)
  local is_new = not updated_at
  -- A list of turns may be left over from a session whose hash is gone, and may have an expiry. Reads ignore such a list, because the
  -- new session has 0 bytes of turns.
  local has_turns = not is_new and bytes ~= '0'
  bytes, first_position = tonumber(bytes or 0), tonumber(first_position or 0)
  gaps = gaps and read_gaps(gaps)
  if replaced_position then
    gaps = gaps or {}
    local index = replaced_position - first_position
    local count = call('LLEN', turns_key)
    local next_number = turn_number(gaps, first_position + count - 1) + 1
    if index == 0 then
      bytes = 0
      call('DEL', turns_key)
    else
      -- A few turns at a time, because all of them may take much memory.
      for first = index, count - 1, 8 do
        for _, turn in ipairs(call('LRANGE', turns_key, first, first + 7)) do bytes = bytes - #turn end
      end
      call('LTRIM', turns_key, 0, index - 1)
    end
    while #gaps > 0 and gaps[#gaps][1] >= replaced_position do gaps[#gaps] = nil end
    gaps[#gaps + 1] = {replaced_position, next_number - replaced_position}
  end
  if is_new and indexed_expiry then call('DEL', turns_key) end
  local appended, turns = {}, 0
  local append = argv[i]
  i = i + 1
  if append ~= '0' then
    for index = 1, append do
      appended[index] = argv[i]
      bytes = bytes + #appended[index]
      i = i + 1
    end
  end
  -- `unpack` is limited to some thousand values.
  for first = 1, #appended, 1000 do
    local last = math.min(first + 999, #appended)
    turns = call('RPUSH', turns_key, unpack(appended, first, last))
    if not has_turns and turns > last then
      call('DEL', turns_key)
      turns = call('RPUSH', turns_key, unpack(appended, first, last))
    end
  end
  if #appended == 0 and has_turns then turns = call('LLEN', turns_key) end
  -- The newest turn stays, whatever its size.
  local dropped = 0
  while turns > 1 and (turns > tonumber(turns_max) or bytes > tonumber(bytes_max)) do
    bytes = bytes - #call('LPOP', turns_key)
    turns = turns - 1
    dropped = dropped + 1
  end
  -- The count of dropped turns keeps the numbers of the other turns the same.
  if dropped > 0 then call('HINCRBY', session_key, 'dropped', dropped) end
  if gaps and (replaced_position or dropped > 0) then
    call('HSET', session_key, 'gaps', write_gaps(gaps, first_position + dropped))
  end
  if is_new or tonumber(updated_at) < tonumber(at) then updated_at = at end
  created_at = created_at or at
  if bytes == 0 then bytes = '0' end
  if sent_bytes == '' then
    call('HSET', session_key, 'updated_at', updated_at, 'bytes', bytes, 'created_at', created_at)
  else
    call('HSET', session_key, 'updated_at', updated_at, 'bytes', bytes, 'created_at', created_at, 'sent_bytes', sent_bytes, 'input_tokens', input_tokens)
  end
  -- Releases without a list of sessions have not listed the session.
  if is_new or not was_live then list_session(prefix, session, created_at) end
  if is_live ~= was_live then call('HINCRBY', counts_key, '#', is_live and '1' or '-1') end
  if not is_live then
    call('ZADD', prefix .. 'su', updated_at, session)
    call('ZADD', prefix .. 'sx', expires_at, session)
    local ttl_ms = ms_until(expires_at)
    call('PEXPIRE', turns_key, ttl_ms)
    call('PEXPIRE', session_key, ttl_ms)
    -- A hold expires together with its session.
    if document ~= '' then call('PEXPIRE', KEYS[1], ttl_ms) end
  elseif not was_live then
    if indexed_expiry or not is_new then
      call('ZREM', prefix .. 'su', session)
      call('ZREM', prefix .. 'sx', session)
    end
    if not is_new then
      call('PERSIST', turns_key)
      call('PERSIST', session_key)
    end
  end
end

-- Notices.
local notices = argv[i]
if notices ~= '0' then
  for _ = 1, notices do
    call('PUBLISH', argv[i + 1], argv[i + 2])
    i = i + 2
  end
end
return needed and {1, needed} or 1
