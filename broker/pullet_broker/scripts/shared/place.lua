-- place: the lanes of places, one for each node that has workers. Needs key.places, key.workers.
local function places() return redis.call('SMEMBERS', key.places) end

local function all_lanes()
  local lanes = {unpack(key.lane, 1, 5)}
  for _, place in ipairs(places()) do lanes[#lanes + 1] = at_key(place) end
  return lanes
end

local function count_consumers(lane)
  local groups = redis.pcall('XINFO', 'GROUPS', lane)
  for _, group in ipairs(not groups.err and groups or {}) do
    if field(group, 'name') == 'workers' then return field(group, 'consumers') end
  end
  return 0
end

-- Does a worker live there? Whoever registers at a place is made a consumer of its lane in the same step.
local function is_inhabited(lane)
  local found = redis.pcall('XINFO', 'CONSUMERS', lane, 'workers')
  for _, consumer in ipairs(found.err and {} or found) do
    if redis.call('HEXISTS', key.workers, field(consumer, 'name')) == 1 then return true end
  end
  return false
end

-- The entries of a lane, at most `most`, that nobody has taken and that were added up to `latest` (ms, or + for all).
local function waiting(lane, latest, most)
  local group = redis.pcall('XINFO', 'GROUPS', lane)
  local last = not group.err and group[1] and field(group[1], 'last-delivered-id')
  return last and redis.call('XRANGE', lane, '(' .. last, latest, 'COUNT', most) or {}
end

-- The lane of a place without workers ends with its last entry. Its group and whoever it knew end with it.
local function close_place(place)
  local lane = at_key(place)
  local length = redis.pcall('XLEN', lane)
  if length == 0 and not is_inhabited(lane) then
    redis.call('DEL', lane)
    redis.call('SREM', key.places, place)
  end
end
