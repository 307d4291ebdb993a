-- Heads of one partition, in the order of their lanes. KEYS: the index of heads.
-- ARGV: prefix, lower bound, upper bound, limit. Returns for each head: lane, first line of the lane's document, timer.
local p, found = ARGV[1], {}
local members = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[4])
for _, member in ipairs(members) do
  local lane = string.sub(member, 2)
  -- The longest first line (version, code, three digits, job, process, two times) is shorter than this.
  local line = redis.call('GETRANGE', p .. 'l:' .. lane, 0, 255)
  local job = string.match(line, '^%x+;.;%d+;([^;]*);')
  if job then
    found[#found + 1] = {lane, line, redis.call('ZSCORE', p .. 't', job)}
  end
end
return found
