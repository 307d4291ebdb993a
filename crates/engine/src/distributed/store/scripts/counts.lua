-- The counts of one partition. KEYS: its counts. ARGV: prefix, now.
-- Returns the number of sessions without live jobs, the counts, and for each tenant and class the time at which the
-- oldest job that no worker runs was admitted.
local rows = redis.call('HGETALL', KEYS[1])
if #rows == 0 then return false end
local oldest, seen = {}, {}
for n = 1, #rows, 2 do
  local tenant_class = string.match(rows[n], '^(.+)|%a$')
  if tenant_class and not seen[tenant_class] then
    seen[tenant_class] = true
    local first = redis.call('ZRANGE', ARGV[1] .. 'w:' .. tenant_class, 0, 0, 'WITHSCORES')
    if first[2] then
      oldest[#oldest + 1] = tenant_class
      oldest[#oldest + 1] = first[2]
    end
  end
end
return {redis.call('ZCOUNT', ARGV[1] .. 'sx', '(' .. ARGV[2], '+inf'), rows, oldest}
