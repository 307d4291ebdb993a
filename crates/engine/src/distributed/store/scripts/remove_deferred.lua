-- Removes entries from one partition's index of deferred heads. KEYS: the index. ARGV: prefix, name of the index; then
-- triples of a lane, the version at which its head was not deferred ('' without a document), and its tenant and class.
local prefix, name = ARGV[1], ARGV[2]
for index = 3, #ARGV, 3 do
  local lane, version, tenant_class = unpack(ARGV, index, index + 2)
  local is_unchanged = redis.call('GETRANGE', prefix .. 'l:' .. lane, 0, 31) == version
  if is_unchanged and remove_deferred(prefix, name, tenant_class, lane) then
    -- The older release that left the entry took the head out of the wrong count.
    redis.call('HINCRBY', prefix .. 'c', tenant_class .. '|w', 1)
  end
end
return 1
