-- Renews the presence of a process. Returns the server's time and the processes that are alive. KEYS: the index of presence.
-- ARGV: process, age up to which a presence counts, age at which a presence is deleted. Both ages are in milliseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function ms(value) return string.format('%.0f', value) end
redis.call('ZADD', KEYS[1], ms(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms(now - tonumber(ARGV[3])))
local since = '(' .. ms(now - tonumber(ARGV[2]))
return {ms(now), redis.call('ZRANGE', KEYS[1], since, '+inf', 'BYSCORE')}
