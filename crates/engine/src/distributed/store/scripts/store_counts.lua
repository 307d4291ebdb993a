-- Stores counts for all processes. KEYS: the stored counts. ARGV: the time of the sum, the counts.
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'counts', ARGV[2])
return 1
