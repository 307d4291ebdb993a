-- Reads a lane, outcomes and run inputs in one round trip. KEYS: the lane.
-- ARGV: prefix; session or ''; the number of jobs whose outcomes are read; those jobs; the job whose run inputs are read, or ''.
-- Returns what `lane_reply` in `lane.lua` returns.
local outcome_count = tonumber(ARGV[3])
return lane_reply(ARGV[1], redis.call('GET', KEYS[1]), ARGV[2], 4, outcome_count, ARGV[4 + outcome_count])
