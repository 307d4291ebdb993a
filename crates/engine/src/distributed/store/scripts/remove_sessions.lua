-- Deletes sessions without live jobs, and the holds of their lanes. KEYS: any key of the partition.
-- ARGV: prefix, sessions. Returns for each session: 0 if it is unknown, 1 if it was deleted, 2 if it has live jobs.
local prefix, results = ARGV[1], {}
for index = 2, #ARGV do
  local session = ARGV[index]
  local lane_key = prefix .. 'l:s/' .. session
  if live_job_count(redis.call('GET', lane_key)) > 0 then
    results[index - 1] = 2
  else
    redis.call('DEL', lane_key, prefix .. 'u:' .. session)
    redis.call('ZREM', prefix .. 'su', session)
    redis.call('ZREM', prefix .. 'sx', session)
    results[index - 1] = redis.call('DEL', prefix .. 's:' .. session)
  end
end
return results
