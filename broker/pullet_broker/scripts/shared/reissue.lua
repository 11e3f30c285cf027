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

-- The lane that a job was submitted to.
local homes = {high = 3, normal = 4, low = 5}
local function home(flat)
  return key.lane[homes[field(flat, 'lane') or 'normal'] or 4]
end
