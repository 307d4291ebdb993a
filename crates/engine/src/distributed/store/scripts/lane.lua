-- Functions that several scripts share.

-- The number of live jobs in a lane's document; 0 without a document.
local function entries(document)
  if not document then return 0 end
  return tonumber(string.match(document, '^%x+;.;(%d+);'))
end

-- A lane's document; the summaries of the outcomes of some jobs (ARGV[first] and the `outcomes - 1` after it);
-- and the work of the job `work`: meta, request, the measure of the session's tokens, its turns.
local function lane_reply(p, document, session, first, outcomes, work)
  local summaries = {}
  for n = 1, outcomes do
    summaries[n] = redis.call('HGET', p .. 'j:' .. ARGV[first + n - 1], 'mark')
  end
  local found_work = false
  if work ~= '' then
    local record = redis.call('HMGET', p .. 'j:' .. work, 'meta', 'request', 'mark')
    if record[1] and not record[3] then
      local measure, turns = {false, false}, {}
      if session ~= '' then
        measure = redis.call('HMGET', p .. 's:' .. session, 'sent_bytes', 'input_tokens')
        turns = redis.call('LRANGE', p .. 'u:' .. session, 0, -1)
      end
      found_work = {record[1], record[2], measure[1], measure[2], turns}
    end
  end
  return {document, summaries, found_work}
end
