-- Deletes sessions without live jobs, and the holds of their lanes. KEYS: any key of the partition.
-- ARGV: prefix, now; then pairs of a session and the time of its last use. A session with another last use is not deleted. ''
-- stands for any time. Returns for each session: 0 if it is unknown, has expired or was used since, 1 if it was deleted, 2 if it
-- has live jobs.
local prefix, now, results = ARGV[1], ARGV[2], {}
for index = 3, #ARGV, 2 do
  local session, used_at = ARGV[index], ARGV[index + 1]
  local result = #results + 1
  local lane_key = prefix .. 'l:s/' .. session
  if live_job_count(redis.call('GET', lane_key)) > 0 then
    results[result] = 2
    -- A session with live jobs belongs in no index. An entry that was left behind would hide others from the eviction.
    redis.call('ZREM', prefix .. 'su', session)
    redis.call('ZREM', prefix .. 'sx', session)
  elseif used_at ~= '' and tonumber(redis.call('ZSCORE', prefix .. 'su', session) or -1) ~= tonumber(used_at) then
    results[result] = 0
  else
    local expired = is_expired(prefix, session, now)
    redis.call('DEL', lane_key, prefix .. 'u:' .. session)
    redis.call('ZREM', prefix .. 'su', session)
    redis.call('ZREM', prefix .. 'sx', session)
    local deleted = redis.call('DEL', prefix .. 's:' .. session)
    results[result] = expired and 0 or deleted
  end
end
return results
