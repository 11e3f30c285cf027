-- entry: read the plain fields of a job. `opts` and `args` are never decoded here: they may be hostile.
local clock
local function now()
  if not clock then
    local time = redis.call('TIME')
    clock = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return clock
end

-- A whole number of at most 15 digits, so that it stays exact, or nil: what a script is given may be anything.
local function whole(text)
  if text and #text <= 15 and text:find('^%d+$') then return tonumber(text) end
  return nil
end

local function positive(text)
  local number = whole(text)
  return number and number > 0 and number or nil
end

local function is_entry_id(text)
  local ms, sequence = text:match('^(%d+)%-(%d+)$')
  return ms ~= nil and #ms <= 19 and #sequence <= 19
end

local function field(flat, name)
  for i = 1, #flat, 2 do
    if flat[i] == name then return flat[i + 1] end
  end
  return nil -- a bare end would return no value at all, which tonumber refuses
end

-- Has it the five fields that every job has, in the order of `submit`, and no other? Most jobs are so.
local function is_plain(flat)
  return #flat == 10 and flat[1] == 'id' and flat[3] == 'method' and flat[5] == 'args' and flat[7] == 'client' and flat[9] == 'opts'
end

-- The fields of one entry as a flat list, or nil where it is gone.
local function read_entry(lane, id)
  local found = redis.call('XRANGE', lane, id, id)
  return found[1] and found[1][2]
end

-- The first ten fields are always there and never a time; only a longer entry can expire.
local function expired(flat)
  if #flat <= 10 then return false end
  local at = whole(field(flat, 'expires'))
  return at ~= nil and at <= now()
end
