-- Moves each timer whose time still is `from`. Creates no timer. KEYS: the timers.
-- ARGV: triples of job, from, to. Returns for each triple: 1 if the timer was moved, 0 if not.
local moved = {}
for index = 1, #ARGV, 3 do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[index])
  local is_unchanged = at and tonumber(at) == tonumber(ARGV[index + 1])
  if is_unchanged then redis.call('ZADD', KEYS[1], ARGV[index + 2], ARGV[index]) end
  moved[#moved + 1] = is_unchanged and 1 or 0
end
return moved
