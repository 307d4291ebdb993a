-- Moves each timer that still is at `from`; creates none. KEYS: the timers.
-- ARGV: triples of job, from, to. Returns for each: 1 moved, 0 not moved.
local moved = {}
for n = 1, #ARGV, 3 do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[n])
  local is_unchanged = at and tonumber(at) == tonumber(ARGV[n + 1])
  if is_unchanged then redis.call('ZADD', KEYS[1], ARGV[n + 2], ARGV[n]) end
  moved[#moved + 1] = is_unchanged and 1 or 0
end
return moved
