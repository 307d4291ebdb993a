-- Renews the presence of a process. Returns the store's time, the shift of the clock, the processes that are alive, and the
-- server's used and maximum memory in bytes. The last two are nil if they are not wanted, or if this user may not read them.
-- KEYS: the index of presence. ARGV: process; the age below which a process is alive; the age from which on a presence is
-- deleted; the key of the clock; the store's time that the process expected when it sent the command, or ''; and '1' if the memory
-- is wanted. Both ages are in milliseconds. The age is the time since the last renewal.
local alive_below, deleted_from = tonumber(ARGV[2]), tonumber(ARGV[3])
local time, shift = read_clock(KEYS[1], ARGV[4], ARGV[5])
redis.call('HSET', ARGV[4], 'time', ms(time), 'shift', ms(shift))
redis.call('ZADD', KEYS[1], ms(time), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms(time - deleted_from))
-- Only a process of an older release, which does not know the store's clock, can be ahead of it.
redis.call('ZREMRANGEBYSCORE', KEYS[1], ms(time + deleted_from), '+inf')
local since = '(' .. ms(time - alive_below)
local alive = redis.call('ZRANGE', KEYS[1], since, ms(time + alive_below), 'BYSCORE')
local memory = ARGV[6] == '1' and redis.pcall('INFO', 'memory')
if type(memory) ~= 'string' then return {ms(time), ms(shift), alive, false, false} end
local function bytes(name) return string.match(memory, '\n' .. name .. ':(%d+)') or false end
return {ms(time), ms(shift), alive, bytes('used_memory'), bytes('maxmemory')}
