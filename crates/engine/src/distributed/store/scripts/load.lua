-- Reads a lane, marks and work in one round trip. KEYS: the lane.
-- ARGV: prefix, session or '', number of jobs asked about, those jobs, job whose work is wanted or ''.
local about = tonumber(ARGV[3])
return lane_reply(ARGV[1], redis.call('GET', KEYS[1]), ARGV[2], 4, about, ARGV[4 + about])
