-- Deletes sessions without live jobs, and the holds of their lanes. KEYS: any key of the partition.
-- ARGV: prefix, sessions. Returns for each: 0 unknown, 1 deleted, 2 has live jobs.
local p, answers = ARGV[1], {}
for n = 2, #ARGV do
  local session = ARGV[n]
  local hold = p .. 'l:s/' .. session
  if entries(redis.call('GET', hold)) > 0 then
    answers[n - 1] = 2
  else
    redis.call('DEL', hold, p .. 'u:' .. session)
    redis.call('ZREM', p .. 'su', session)
    redis.call('ZREM', p .. 'sx', session)
    answers[n - 1] = redis.call('DEL', p .. 's:' .. session)
  end
end
return answers
