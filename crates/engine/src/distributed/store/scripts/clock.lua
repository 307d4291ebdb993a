-- The clock of the store. The server's clock may be set; the store's clock is steady. The difference between the two is the shift.
-- The hash `clock` keeps the shift and the latest known time of the store's clock.

-- A smaller difference does not count as a step. The times that users see are exact to within this many milliseconds.
local STEP_MS_MIN = 1000
-- Live processes renew their presence every second. So a longer time between two renewals may be a step of the server's clock.
local GAP_MS_MAX = 2000

-- Returns the store's time and the shift. All arguments are milliseconds: the server's time; the stored shift; the latest
-- stored time, or nil; and the store's time that the caller expected when it sent the command, or nil. The caller measures
-- with a monotonic clock. The command may have come late, so the expected time may be too early, but not too late.
local function next_clock(server, shift, latest, expected)
  local time = server - shift
  local gap = latest and time - latest or 0
  -- The caller's clock has not measured the gap, so the server's clock was set forward.
  if expected and gap > GAP_MS_MAX and time - expected >= STEP_MS_MIN then time = expected end
  -- The server's clock was set back.
  if latest and time < latest then time = math.max(latest, expected or latest) end
  -- The server's clock was set back after a gap, or a late command made the store's clock too slow.
  if expected and expected - time >= STEP_MS_MIN then time = expected end
  if math.abs(server - shift - time) >= STEP_MS_MIN then shift = server - time end
  return time, shift
end

local function ms(value) return string.format('%.0f', value) end

-- Reads the clock. The keys are those of the presence and of the clock.
local function read_clock(presence_key, clock_key, expected)
  local now = redis.call('TIME')
  local server = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
  local stored = redis.call('HMGET', clock_key, 'shift', 'time')
  local latest = tonumber(stored[2] or nil)
  if not latest then
    -- An older release keeps no clock. Its latest known time is the last renewal of a presence.
    latest = tonumber(redis.call('ZRANGE', presence_key, -1, -1, 'WITHSCORES')[2] or nil)
  end
  return next_clock(server, tonumber(stored[1] or 0), latest, tonumber(expected))
end
