-- Functions that change the index of deferred heads. The hash `d` counts the entries of each account (`a|`) and of each
-- tenant (`t|`). The hash `db` counts the jobs behind the heads of each account. Both have a field only for a count above 0,
-- so they do not grow with the models that clients name.

local function count_deferred(prefix, name, tenant_class, change)
  for _, field in ipairs({'a|' .. name, 't|' .. tenant_class}) do
    if call('HINCRBY', prefix .. 'd', field, change) == 0 then
      call('HDEL', prefix .. 'd', field)
      -- Commits of an older release do not change the count of the jobs behind, so it may be wrong. Without heads it is 0.
      if field == 'a|' .. name then call('HDEL', prefix .. 'db', name) end
    end
  end
end

local function count_behind(prefix, name, change)
  if call('HINCRBY', prefix .. 'db', name, change) <= 0 then
    call('HDEL', prefix .. 'db', name)
  end
end

-- Removes the entry of a lane. Returns whether there was one.
local function remove_deferred(prefix, name, tenant_class, lane)
  local removed = call('ZREM', prefix .. 'd:' .. name, lane) == 1
  if removed then count_deferred(prefix, name, tenant_class, -1) end
  return removed
end
