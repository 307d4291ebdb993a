-- Reads a session and records the read as a use. KEYS: the session.
-- ARGV: prefix, session, now, the new expiry of a session without live jobs.
local p, session, now, expires_at = unpack(ARGV)
local row = redis.call('HMGET', KEYS[1], 'created_at', 'updated_at')
if not row[1] then return false end
local hold = p .. 'l:s/' .. session
local live = entries(redis.call('GET', hold))
if live == 0 then
  redis.call('ZADD', p .. 'su', 'GT', now, session)
  redis.call('ZADD', p .. 'sx', expires_at, session)
  redis.call('PEXPIREAT', p .. 'u:' .. session, expires_at)
  redis.call('PEXPIREAT', KEYS[1], expires_at)
  redis.call('PEXPIREAT', hold, expires_at)
end
return {row[1], row[2], live, redis.call('LRANGE', p .. 'u:' .. session, 0, -1)}
