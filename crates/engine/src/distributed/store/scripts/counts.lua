-- The counts of one partition. KEYS: the hash of the counts. ARGV: prefix, now.
-- Returns five things: the number of unexpired sessions without live jobs; the counts; for each tenant and class the time
-- at which its oldest queued job was admitted; the counts of deferred heads; and the counts of the jobs behind them.
local counts = redis.call('HGETALL', KEYS[1])
if #counts == 0 then return false end
local oldest, seen = {}, {}
for index = 1, #counts, 2 do
  local tenant_class = string.match(counts[index], '^(.+)|%a$')
  if tenant_class and not seen[tenant_class] then
    seen[tenant_class] = true
    local first = redis.call('ZRANGE', ARGV[1] .. 'w:' .. tenant_class, 0, 0, 'WITHSCORES')
    if first[2] then
      oldest[#oldest + 1] = tenant_class
      oldest[#oldest + 1] = first[2]
    end
  end
end
local idle = redis.call('ZCOUNT', ARGV[1] .. 'sx', '(' .. ARGV[2], '+inf')
local deferred = redis.call('HGETALL', ARGV[1] .. 'd')
local behind = #deferred > 0 and redis.call('HGETALL', ARGV[1] .. 'db') or {}
return {idle, counts, oldest, deferred, behind}
