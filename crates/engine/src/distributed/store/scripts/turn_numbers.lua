-- Functions for the numbers of turns.
--
-- The position of a turn is its index in the list plus the number of turns that were dropped before it (`dropped`). The number of
-- a turn is its position plus an offset. When turns are replaced, later turns get the same positions and higher numbers. The field
-- `gaps` of a session holds where the offset changes, as `position:offset,...`, both ascending. Without the field, the offset is 0.

local function read_gaps(text)
  local gaps = {}
  for position, offset in string.gmatch(text or '', '(%d+):(%d+)') do
    gaps[#gaps + 1] = {tonumber(position), tonumber(offset)}
  end
  return gaps
end

-- The number of the turn at a position.
local function turn_number(gaps, position)
  local offset = 0
  for _, gap in ipairs(gaps) do
    if gap[1] > position then break end
    offset = gap[2]
  end
  return position + offset
end

-- The position of the first turn whose number is at least `number`.
local function position_from(gaps, number)
  local first, offset = 0, 0
  for _, gap in ipairs(gaps) do
    if number < gap[1] + offset then break end
    first, offset = gap[1], gap[2]
  end
  return math.max(number - offset, first)
end

-- The gaps as text, without those that only turns before `dropped` needed.
local function write_gaps(gaps, dropped)
  local texts = {}
  for index, gap in ipairs(gaps) do
    local following = gaps[index + 1]
    if not following or following[1] > dropped then
      texts[#texts + 1] = string.format('%d:%d', gap[1], gap[2])
    end
  end
  return table.concat(texts, ',')
end
