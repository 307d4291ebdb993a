-- A job's metadata; its outcome if it has ended; and the document of its lane if it is live. KEYS: the record.
-- ARGV: prefix, the most bytes of an outcome that is returned. For a larger outcome, returns its size and its summary instead.
local outcome_bytes = redis.call('HSTRLEN', KEYS[1], 'outcome')
if outcome_bytes > tonumber(ARGV[2]) then
  local large = redis.call('HMGET', KEYS[1], 'meta', 'mark')
  return {large[1], false, false, outcome_bytes, large[2]}
end
local record = redis.call('HMGET', KEYS[1], 'meta', 'outcome', 'lane')
if not record[1] then return false end
local document = false
if not record[2] then document = redis.call('GET', ARGV[1] .. 'l:' .. record[3]) end
return {record[1], record[2], document, false, false}
