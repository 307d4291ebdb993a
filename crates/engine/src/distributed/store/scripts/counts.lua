-- What one partition counts. KEYS: its counts. ARGV: prefix, now.
-- Returns the number of idle sessions, the counts, and for each kind of job since when the oldest waits.
local rows = redis.call('HGETALL', KEYS[1])
if #rows == 0 then return false end
local oldest, seen = {}, {}
for n = 1, #rows, 2 do
  local kind = string.match(rows[n], '^(.+)|%a$')
  if kind and not seen[kind] then
    seen[kind] = true
    local first = redis.call('ZRANGE', ARGV[1] .. 'w:' .. kind, 0, 0, 'WITHSCORES')
    if first[2] then
      oldest[#oldest + 1] = kind
      oldest[#oldest + 1] = first[2]
    end
  end
end
return {redis.call('ZCOUNT', ARGV[1] .. 'sx', '(' .. ARGV[2], '+inf'), rows, oldest}
