-- Moves each timer that is still the one that was read; makes none. KEYS: the timers.
-- ARGV: job, from, to, again and again. Returns 1 for each that was moved, 0 for the others.
local moved = {}
for n = 1, #ARGV, 3 do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[n])
  local still = at and tonumber(at) == tonumber(ARGV[n + 1])
  if still then redis.call('ZADD', KEYS[1], ARGV[n + 2], ARGV[n]) end
  moved[#moved + 1] = still and 1 or 0
end
return moved
