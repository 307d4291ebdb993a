-- Checks entries of one partition's index of deferred heads. KEYS: the index. ARGV: prefix, name of the index, lanes.
-- Returns three values for each lane. If the first line of the lane's document has the name of the index, they are the head's
-- job, '1' if a worker has claimed it and '0' if not, and nil. Otherwise they are nil, nil and the document: the caller
-- checks the document itself.
local prefix, checked = ARGV[1], {}
for index = 3, #ARGV do
  local key = prefix .. 'l:' .. ARGV[index]
  -- The first line, which also names an account here, is shorter than 1,024 bytes, even with the longest names. `lane_document.rs`
  -- describes its fields.
  local line = redis.call('GETRANGE', key, 0, 1023)
  local job, claimed, name = string.match(line, '^%x+;d;%d+;([^;]*);[^;]*;%d+;%d+;([01]);([^\n]*)\n')
  if name == ARGV[2] then
    checked[#checked + 1] = {job, claimed, false}
  else
    checked[#checked + 1] = {false, false, redis.call('GET', key)}
  end
end
return checked
