-- Reads a lane, outcomes and work in one round trip. KEYS: the lane.
-- ARGV: prefix, session or '', number of jobs to read the outcomes of, those jobs, job to read the work of or ''.
local outcomes = tonumber(ARGV[3])
return lane_reply(ARGV[1], redis.call('GET', KEYS[1]), ARGV[2], 4, outcomes, ARGV[4 + outcomes])
