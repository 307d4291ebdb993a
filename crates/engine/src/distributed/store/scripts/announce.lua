-- Announces a process; says what time it is and who else is there. KEYS: the presences.
-- ARGV: process, presence time, and after how long an entry goes, both in milliseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function ms(value) return string.format('%.0f', value) end
redis.call('ZADD', KEYS[1], ms(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms(now - tonumber(ARGV[3])))
local since = '(' .. ms(now - tonumber(ARGV[2]))
return {ms(now), redis.call('ZRANGE', KEYS[1], since, '+inf', 'BYSCORE')}
