-- reissue: put a job on a lane again as a new entry, some of its fields changed. The old entry is the caller's to end.
local function changed(flat, entry, changes)
  changes.since = field(flat, 'since') or (entry and entry:match('^%d+')) or tostring(now())
  local out = {}
  for i = 1, math.min(#flat, 200), 2 do -- an entry of ours has some 30; unpack takes no more than 8,000
    if changes[flat[i]] == nil then
      out[#out + 1] = flat[i]
      out[#out + 1] = flat[i + 1]
    end
  end
  for name, value in pairs(changes) do
    out[#out + 1] = name
    out[#out + 1] = tostring(value) -- packed fields must stay text
  end
  return out
end

local function reissue(lane, flat, entry, changes)
  redis.call('XADD', lane, '*', unpack(changed(flat, entry, changes)))
end

-- The fields with which a job was submitted, without all that has happened to it.
local function anew(flat)
  local happened = {
    attempt = 1, raised = 1, crashes = 1, since = 1, expires = 1, spilled = 1, worker = 1, error = 1, errors = 1, log = 1,
  }
  local out = {}
  for i = 1, math.min(#flat, 200), 2 do
    if not happened[flat[i]] then
      out[#out + 1] = flat[i]
      out[#out + 1] = flat[i + 1]
    end
  end
  return out
end

-- The lane of a job's priority, from which any worker takes it.
local function common_lane(flat)
  local name = field(flat, 'lane')
  return name == 'high' and key.lane[3] or name == 'low' and key.lane[5] or key.lane[4]
end

-- The lane of the place where the job's key lives, as long as that place is there; nil for a job without a key.
local function place_lane(flat)
  local name = #flat > 10 and field(flat, 'key') -- the first ten fields are always there and never a key
  local place = name and redis.pcall('GET', home_key(name))
  local lane = type(place) == 'string' and at_key(place)
  return lane and redis.call('EXISTS', lane) == 1 and lane or nil
end

-- The lane to which a job belongs.
local function home(flat) return place_lane(flat) or common_lane(flat) end
