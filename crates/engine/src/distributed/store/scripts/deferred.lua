-- Functions that change the index of deferred heads. The hash `d` counts the entries of each account (`a|`) and of each
-- tenant (`t|`). It has a field only for a count above 0, so it does not grow with the models that clients name.

local function count_deferred(prefix, name, tenant_class, change)
  for _, field in ipairs({'a|' .. name, 't|' .. tenant_class}) do
    if redis.call('HINCRBY', prefix .. 'd', field, change) == 0 then
      redis.call('HDEL', prefix .. 'd', field)
    end
  end
end

-- Removes the entry of a lane. Returns whether there was one.
local function remove_deferred(prefix, name, tenant_class, lane)
  local removed = redis.call('ZREM', prefix .. 'd:' .. name, lane) == 1
  if removed then count_deferred(prefix, name, tenant_class, -1) end
  return removed
end
