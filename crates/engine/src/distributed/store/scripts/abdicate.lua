-- Gives the election up, if it is this process's. KEYS: the election. ARGV: process.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
