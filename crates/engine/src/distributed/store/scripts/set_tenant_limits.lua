-- Stores the limits of a tenant, or removes them. KEYS: the hash of all limits, by tenant; its field '#' is the version of the whole
-- hash. ARGV: tenant, the limits as JSON or '', the new version of the hash, the maximum number of tenants. Returns 1 if the limits
-- are stored or were removed, 0 if there was nothing to remove or if there are too many tenants.
local tenant, limits, version, tenants_max = unpack(ARGV)
if limits == '' then
  if redis.call('HDEL', KEYS[1], tenant) == 0 then return 0 end
else
  local is_new = redis.call('HEXISTS', KEYS[1], tenant) == 0
  local stored = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '#')
  if is_new and stored >= tonumber(tenants_max) then return 0 end
  redis.call('HSET', KEYS[1], tenant, limits)
end
redis.call('HSET', KEYS[1], '#', version)
return 1
