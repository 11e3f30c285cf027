-- settle_in: what becomes of a job with a key that was taken from a common lane. Needs reissue, arg.home_ms.
-- The lane of its home, when that is another place: the job belongs there. Else nil: it runs here, and here is now
-- the home of its key, if it had none. A job that waited at its home in vain is `spilled` and runs wherever it is taken.
local here = key.lane[6]
local function elsewhere(flat)
  local name = #flat > 10 and field(flat, 'key')
  if not name then return nil end
  local lane = place_lane(flat)
  if lane and lane ~= here then return not field(flat, 'spilled') and lane or nil end
  if here then redis.call('SET', home_key(name), here:sub(#at_key('') + 1), 'PX', arg.home_ms) end
  return nil
end
