-- Heads of one partition, in the order of their lanes. KEYS: the index of heads.
-- ARGV: prefix, lower bound, upper bound, limit. Returns for each head: lane, first line of the lane's document, timer. Line and
-- timer are nil if the lane has no document or no head.
local prefix, found = ARGV[1], {}
local members = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[4])
for _, member in ipairs(members) do
  local lane = string.sub(member, 2)
  -- The first line of a lane in this index is shorter than 256 bytes, even with the longest names. `lane_document.rs` describes its
  -- fields.
  local line = redis.call('GETRANGE', prefix .. 'l:' .. lane, 0, 255)
  local job = string.match(line, '^%x+;.;%d+;([^;]*);')
  if job then
    found[#found + 1] = {lane, line, redis.call('ZSCORE', prefix .. 't', job)}
  else
    found[#found + 1] = {lane, false, false}
  end
end
return found
