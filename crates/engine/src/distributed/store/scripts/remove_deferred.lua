-- Removes entries from one partition's index of deferred heads. KEYS: the index. ARGV: prefix, name of the index; then
-- triples of a lane, the version at which its head was not deferred ('' without a document), and its tenant and class.
local prefix, name = ARGV[1], ARGV[2]
for index = 3, #ARGV, 3 do
  local lane, version, tenant_class = unpack(ARGV, index, index + 2)
  -- The version and the number of jobs are in the first 64 bytes.
  local line = redis.call('GETRANGE', prefix .. 'l:' .. lane, 0, 63)
  local is_unchanged = string.sub(line, 1, 32) == version
  if is_unchanged and remove_deferred(prefix, name, tenant_class, lane) then
    -- How many jobs were counted behind the removed head is not known. About as many are behind the present head.
    local jobs = live_job_count(version ~= '' and line)
    if jobs > 1 then count_behind(prefix, name, 1 - jobs) end
    -- The older release that left the entry has subtracted the head from the wrong count, `w`.
    redis.call('HINCRBY', prefix .. 'c', tenant_class .. '|w', 1)
  end
end
return 1
