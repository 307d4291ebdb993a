-- Renews the presence of a process. Returns the server's time and the processes that are alive. KEYS: the index of presence.
-- ARGV: process; the age below which a process is alive; the age from which on a presence is deleted. Both ages are in
-- milliseconds. The age is the time since the last renewal.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function ms(value) return string.format('%.0f', value) end
redis.call('ZADD', KEYS[1], ms(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms(now - tonumber(ARGV[3])))
local since = '(' .. ms(now - tonumber(ARGV[2]))
return {ms(now), redis.call('ZRANGE', KEYS[1], since, '+inf', 'BYSCORE')}
