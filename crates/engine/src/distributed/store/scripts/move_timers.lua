-- Moves each timer whose time still is `from`. Creates no timer. KEYS: the timers of one or more partitions.
-- ARGV: for each key, the number of moves, and triples of job, from, to. Returns for each triple: 1 if the timer was moved, 0 if
-- not.
local moved, next_arg = {}, 1
for _, timers in ipairs(KEYS) do
  local last_arg = next_arg + 3 * tonumber(ARGV[next_arg])
  local changes, moved_to = {}, {}
  for index = next_arg + 1, last_arg, 3 do
    local job, from, to = unpack(ARGV, index, index + 2)
    local at = moved_to[job] or redis.call('ZSCORE', timers, job)
    local is_unchanged = at and tonumber(at) == tonumber(from)
    if is_unchanged then
      moved_to[job] = to
      changes[#changes + 1] = to
      changes[#changes + 1] = job
    end
    moved[#moved + 1] = is_unchanged and 1 or 0
  end
  -- `unpack` is limited to some thousand values.
  for first = 1, #changes, 1000 do
    redis.call('ZADD', timers, unpack(changes, first, math.min(first + 999, #changes)))
  end
  next_arg = last_arg + 1
end
return moved
