-- Functions that several scripts share.
--
-- The first line of a lane's document is `VERSION;CODE;ENTRIES;JOB;...` (`lane_document.rs`): VERSION is in the bytes 1 to 32, CODE in
-- byte 34.

-- Lua reads locals faster than globals. A commit uses these about 60 times.
local call, argv = redis.call, ARGV

-- The number of live jobs in a lane's document; 0 without a document.
local function live_job_count(document)
  if not document then return 0 end
  return tonumber(string.match(document, '^%x+;.;(%d+);'))
end

-- Whether a session without live jobs has expired. Redis deletes expired keys by its own clock, which may differ from the
-- store's clock, so an expired session may still be there.
local function is_expired(prefix, session, now)
  local expires_at = call('ZSCORE', prefix .. 'sx', session)
  return expires_at and tonumber(expires_at) <= tonumber(now)
end

-- Adds a session, `TENANT/SESSION`, to the list of sessions, unless it is there. `created_at` is text.
local function list_session(prefix, session, created_at)
  local time = string.rep('0', 14 - #created_at) .. created_at
  call('ZADD', prefix .. 'sl', '0', (string.gsub(session, '/', '|' .. time .. '|', 1)))
end

-- Run inputs of at most this many bytes are returned with a lane: INLINE_BYTES_MAX of the trait `Store`.
local inline_bytes_max = 65536

-- The run inputs of a job: its metadata, its request, and of its session the token measure (`sent_bytes` and `input_tokens`), the turns,
-- the defaults, and the fields `dropped` and `gaps`, from which the numbers of the turns follow. If the run inputs have more than
-- `bytes_max` bytes, returns their size. Returns false if the job is not live.
-- With 0 bytes a session has no turns. Then the list, if there is one, is left over from a session whose hash is gone.
local function run_inputs(prefix, session, job, bytes_max)
  local job_key, stored = prefix .. 'j:' .. job, {false, false, false, false, false, false}
  local bytes = call('HSTRLEN', job_key, 'request')
  if session ~= '' then
    stored = call('HMGET', prefix .. 's:' .. session, 'sent_bytes', 'input_tokens', 'bytes', 'defaults', 'dropped', 'gaps')
    bytes = bytes + tonumber(stored[3] or 0) + #(stored[4] or '')
  end
  if bytes > bytes_max then
    local record = call('HMGET', job_key, 'meta', 'mark')
    return record[1] and not record[2] and bytes
  end
  local record = call('HMGET', job_key, 'meta', 'mark', 'request')
  if not record[1] or record[2] then return false end
  local turns = {}
  if session ~= '' and stored[3] ~= '0' then turns = call('LRANGE', prefix .. 'u:' .. session, 0, -1) end
  return {record[1], record[3], stored[1], stored[2], turns, stored[4], stored[5], stored[6]}
end

-- The reply of `load.lua`, which has three parts: the lane's document; the summaries of the outcomes of some jobs; and
-- the run inputs of `job`. If these are large, or if the head of the lane runs, the third part is their size instead.
-- The jobs whose outcomes are read are the `outcome_count` arguments from argv[first_outcome] on.
local function lane_reply(prefix, document, session, first_outcome, outcome_count, job)
  local summaries = {}
  for index = 1, outcome_count do
    summaries[index] = call('HGET', prefix .. 'j:' .. argv[first_outcome + index - 1], 'mark')
  end
  local found_run_inputs = false
  if job ~= '' then
    local head_runs = document and string.sub(document, 34, 34) == 'r'
    found_run_inputs = run_inputs(prefix, session, job, head_runs and -1 or inline_bytes_max)
  end
  return {document, summaries, found_run_inputs}
end
