-- Removes timers whose jobs are not live. KEYS: the timers. ARGV: prefix; then for each timer: job, time that was read, lane,
-- tenant. Lane and tenant are '' if the job has no record. Returns for each timer: 1 if it was removed, 0 if not.
local prefix, removed = ARGV[1], {}

-- Whether the document of a lane contains the id of a job.
local function is_in_lane(lane, job)
  local document = redis.call('GET', prefix .. 'l:' .. lane)
  return document and string.find(document, job, 1, true) ~= nil
end

-- Whether any lane of the partition has a job. Each queued job is in an index of queued jobs. Each other live job runs, so it is
-- in the index of heads.
local function is_in_any_lane(job)
  for _, field in ipairs(redis.call('HKEYS', prefix .. 'c')) do
    local tenant_class = string.match(field, '^(.*)|%a$')
    if tenant_class and redis.call('ZSCORE', prefix .. 'w:' .. tenant_class, job) then return true end
  end
  for _, member in ipairs(redis.call('ZRANGE', prefix .. 'h', '[r', '(r~', 'BYLEX')) do
    if is_in_lane(string.sub(member, 2), job) then return true end
  end
  return false
end

for index = 2, #ARGV, 4 do
  local job, read_at, lane, tenant = unpack(ARGV, index, index + 3)
  local at = redis.call('ZSCORE', KEYS[1], job)
  local is_orphan = at and tonumber(at) == tonumber(read_at)
  if is_orphan and lane ~= '' then
    is_orphan = not is_in_lane(lane, job)
  elseif is_orphan then
    is_orphan = not is_in_any_lane(job)
  end
  if is_orphan then
    redis.call('ZREM', KEYS[1], job)
    if tenant ~= '' then
      for _, class in ipairs({'i', 'b'}) do redis.call('ZREM', prefix .. 'w:' .. tenant .. '|' .. class, job) end
    end
  end
  removed[#removed + 1] = is_orphan and 1 or 0
end
return removed
