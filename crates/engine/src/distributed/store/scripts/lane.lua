-- Functions that several scripts share.

-- The number of live jobs in a lane's document; 0 without a document.
local function live_job_count(document)
  if not document then return 0 end
  return tonumber(string.match(document, '^%x+;.;(%d+);'))
end

-- Whether a session without live jobs has expired. Redis deletes expired keys by its own clock, which may differ from the
-- store's clock, so an expired session may still be there.
local function is_expired(prefix, session, now)
  local expires_at = redis.call('ZSCORE', prefix .. 'sx', session)
  return expires_at and tonumber(expires_at) <= tonumber(now)
end

-- Run inputs of at most this many bytes are returned with a lane: INLINE_BYTES_MAX of the trait `Store`.
local inline_bytes_max = 65536

-- The size of the run inputs of a job: its request and the turns of its session. Also returns whether the session may have turns.
-- With 0 bytes it has none. Then the list, if there is one, is left of a session whose hash is gone.
local function run_inputs_bytes(prefix, session, job)
  local bytes = redis.call('HSTRLEN', prefix .. 'j:' .. job, 'request')
  if session == '' then return bytes, false end
  local turns_bytes = redis.call('HGET', prefix .. 's:' .. session, 'bytes')
  return bytes + tonumber(turns_bytes or 0), turns_bytes ~= '0'
end

-- The reply of `load.lua`, which has three parts: the lane's document; the summaries of the outcomes of some jobs; and
-- the run inputs of `job`, which are its metadata, its request, the token measure of the session, and the turns. If they are
-- large, or if the head of the lane runs, the third part is their size instead.
-- The jobs whose outcomes are read are the `outcome_count` arguments from ARGV[first_outcome] on.
local function lane_reply(prefix, document, session, first_outcome, outcome_count, job)
  local summaries = {}
  for index = 1, outcome_count do
    summaries[index] = redis.call('HGET', prefix .. 'j:' .. ARGV[first_outcome + index - 1], 'mark')
  end
  local found_run_inputs = false
  if job ~= '' then
    local record = redis.call('HMGET', prefix .. 'j:' .. job, 'meta', 'mark')
    local bytes, has_turns = run_inputs_bytes(prefix, session, job)
    local head_runs = document and string.sub(document, 34, 34) == 'r'
    if record[1] and not record[2] and (bytes > inline_bytes_max or head_runs) then
      found_run_inputs = bytes
    elseif record[1] and not record[2] then
      local measure, turns = {false, false}, {}
      if session ~= '' then
        measure = redis.call('HMGET', prefix .. 's:' .. session, 'sent_bytes', 'input_tokens')
        if has_turns then turns = redis.call('LRANGE', prefix .. 'u:' .. session, 0, -1) end
      end
      local request = redis.call('HGET', prefix .. 'j:' .. job, 'request')
      found_run_inputs = {record[1], request, measure[1], measure[2], turns}
    end
  end
  return {document, summaries, found_run_inputs}
end
