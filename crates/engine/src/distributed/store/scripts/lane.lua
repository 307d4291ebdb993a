-- Functions that several scripts share.

-- The number of live jobs in a lane's document; 0 without a document.
local function entries(document)
  if not document then return 0 end
  return tonumber(string.match(document, '^%x+;.;(%d+);'))
end

-- A lane's document, the marks of the jobs asked about (ARGV[first] and the `about - 1` after it), and what
-- a worker needs to run the job `work`: meta, request, the measure of the session's tokens, its turns.
local function lane_reply(p, document, session, first, about, work)
  local marks = {}
  for n = 1, about do
    marks[n] = redis.call('HGET', p .. 'j:' .. ARGV[first + n - 1], 'mark')
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
  return {document, marks, found_work}
end
