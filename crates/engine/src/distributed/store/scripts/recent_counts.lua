-- Returns the counts that a process has stored lately, or nil. After nil, the caller must sum the counts and store them.
-- KEYS: the stored counts. ARGV: now; the age from which on counts are summed again; how long other processes wait for a new
-- sum; the age up to which they get the old counts meanwhile. Ages and times are in milliseconds. Returns the time of the sum and
-- the counts.
local now, old_from, turn_ms, old_until = unpack(ARGV)
local at, turn, counts = unpack(redis.call('HMGET', KEYS[1], 'at', 'turn', 'counts'))

-- The time since a stored time. Nil without a time, or if the time is a second or more ahead, which is more than the clocks of
-- two processes differ.
local function age(time)
  local ms = time and tonumber(now) - tonumber(time)
  return ms and ms > -1000 and ms or nil
end

local counts_age, turn_age = counts and age(at), age(turn)
local is_summed_now = turn_age and turn_age < tonumber(turn_ms)
if counts_age and (counts_age < tonumber(old_from) or is_summed_now and counts_age < tonumber(old_until)) then
  return {at, counts}
end
redis.call('HSET', KEYS[1], 'turn', now)
return false
