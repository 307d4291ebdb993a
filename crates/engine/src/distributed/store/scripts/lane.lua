-- Functions that several scripts share.

-- The number of live jobs in a lane's document; 0 without a document.
local function live_job_count(document)
  if not document then return 0 end
  return tonumber(string.match(document, '^%x+;.;(%d+);'))
end

-- The reply of `load.lua`, which has three parts: the lane's document; the summaries of the outcomes of some jobs; and
-- the run inputs of `job`, which are its metadata, its request, the token measure of the session, and the turns.
-- The jobs whose outcomes are read are the `outcome_count` arguments from ARGV[first_outcome] on.
local function lane_reply(prefix, document, session, first_outcome, outcome_count, job)
  local summaries = {}
  for index = 1, outcome_count do
    summaries[index] = redis.call('HGET', prefix .. 'j:' .. ARGV[first_outcome + index - 1], 'mark')
  end
  local found_run_inputs = false
  if job ~= '' then
    local record = redis.call('HMGET', prefix .. 'j:' .. job, 'meta', 'request', 'mark')
    if record[1] and not record[3] then
      local measure, turns = {false, false}, {}
      if session ~= '' then
        measure = redis.call('HMGET', prefix .. 's:' .. session, 'sent_bytes', 'input_tokens')
        turns = redis.call('LRANGE', prefix .. 'u:' .. session, 0, -1)
      end
      found_run_inputs = {record[1], record[2], measure[1], measure[2], turns}
    end
  end
  return {document, summaries, found_run_inputs}
end
