-- Reads what a worker needs to run a job, except for the turns. KEYS: the lane. ARGV: prefix, session or '', job.
-- Returns the job's metadata, its request, and of its session the token measure (`sent_bytes` and `input_tokens`) and the defaults; nil
-- if the job is not live.
local prefix, session, job = unpack(ARGV)
local record = redis.call('HMGET', prefix .. 'j:' .. job, 'meta', 'request', 'mark')
if not record[1] or record[3] then return false end
local stored = {false, false, false}
if session ~= '' then
  stored = redis.call('HMGET', prefix .. 's:' .. session, 'sent_bytes', 'input_tokens', 'defaults')
end
return {record[1], record[2], stored[1], stored[2], stored[3]}
