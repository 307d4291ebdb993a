-- Counts the live jobs of a tenant in one partition. KEYS: the hash of the counts. ARGV: prefix, tenant. `keys.rs` explains the
-- letters. One script reads both hashes, because a job that is deferred moves from one to the other.
local sum = 0
local function add(key, fields)
  for _, count in ipairs(redis.call('HMGET', key, unpack(fields))) do
    sum = sum + (tonumber(count or 0) or 0)
  end
end
local interactive, batch = ARGV[2] .. '|i', ARGV[2] .. '|b'
add(KEYS[1], {
  interactive .. '|r', interactive .. '|f', interactive .. '|b', interactive .. '|w',
  batch .. '|r', batch .. '|f', batch .. '|b', batch .. '|w',
})
add(ARGV[1] .. 'd', {'t|' .. interactive, 't|' .. batch})
return sum
