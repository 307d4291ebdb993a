-- Elects a process as sweeper, or extends its term. Returns 1 if the process is elected, 0 if another process is.
-- KEYS: the elected sweeper. ARGV: process, term in milliseconds.
local elected = redis.call('GET', KEYS[1])
-- If more than a full term and a second remains, the server's clock was set back after the election. Then the term counts as ended.
local is_term_valid = redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) + 1000
if elected and elected ~= ARGV[1] and is_term_valid then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
