-- Removes entries of the list of jobs whose records are gone. KEYS: the list. ARGV: prefix, how many entries to check.
-- Each call continues behind the last entry that the call before has checked. After the end, the next call begins anew. Returns how
-- many entries were checked.
local position_key = KEYS[1] .. ':checked'
local position = redis.call('GET', position_key)
local from = position and '(' .. position or '-'
local entries = redis.call('ZRANGE', KEYS[1], from, '+', 'BYLEX', 'LIMIT', 0, ARGV[2])
for _, entry in ipairs(entries) do
  local job = string.match(entry, '[^|]*$')
  if redis.call('HEXISTS', ARGV[1] .. 'j:' .. job, 'meta') == 0 then redis.call('ZREM', KEYS[1], entry) end
end
if #entries < tonumber(ARGV[2]) then
  if position then redis.call('DEL', position_key) end
else
  redis.call('SET', position_key, entries[#entries])
end
return #entries
