-- Ends the term of a process, if it is the elected sweeper. KEYS: the elected sweeper. ARGV: process.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
