-- Reads turns of a session, oldest first. KEYS: the session.
-- ARGV: prefix, session, the number of the first turn, the most turns, the most bytes.
-- Returns the position of the first returned turn, the session's gaps, and the turns. The first turn is returned whatever its size.
-- A session of 0 bytes has no turns. Then the list, if there is one, is left over from an earlier session of this id, whose hash
-- Redis has evicted.
-- The functions for gaps and positions are in turn_numbers.lua, which is put before this script.
local prefix, session = ARGV[1], ARGV[2]
local from, turns_max, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local dropped, session_bytes, gaps = unpack(redis.call('HMGET', KEYS[1], 'dropped', 'bytes', 'gaps'))
dropped, gaps = tonumber(dropped or 0), gaps or ''
local index = math.max(position_from(read_gaps(gaps), from) - dropped, 0)
local reply = {dropped + index, gaps}
if session_bytes == '0' then return reply end
local bytes = 0
-- A few turns at a time, so that the script reads little more than it returns.
while true do
  local turns = redis.call('LRANGE', prefix .. 'u:' .. session, index, index + 7)
  if #turns == 0 then return reply end
  for _, turn in ipairs(turns) do
    bytes = bytes + #turn
    local count = #reply - 2
    if count >= turns_max or (count > 0 and bytes > bytes_max) then return reply end
    reply[#reply + 1] = turn
  end
  index = index + #turns
end
