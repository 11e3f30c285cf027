-- entry: read the plain fields of a job. `opts` and `args` are never decoded here: they may be hostile.
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
