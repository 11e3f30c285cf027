-- give_back: return jobs that were taken but not started, so that another worker has them at once.
-- KEYS     config cancelled watched progress named stats events LANES
-- ARGV     consumer spill_ms reply inbox blob inline ttl ...
--          then for each job: lane entry      (at most 100)
-- RETURNS  how many were issued again
-- USES     numbers clock entry events settle settle_as reissue
-- OOM      allow
-- ATOMIC   the job must be in exactly one live entry. A suspect stays one; the others go where they are read first
-- An urgent one goes among the urgent ones where fewer wait there than among those that were given back.
-- A job with a key returns to its place, unless it was first issued more than spill_ms ago: then anybody may run it.
local spill_ms = whole(arg.spill_ms)
local sane = spill_ms and can_settle() and (#ARGV - rest + 1) % 2 == 0
for i = rest, sane and #ARGV or 0, 2 do
  sane = sane and key.lane[whole(ARGV[i])] and is_entry_id(ARGV[i + 1])
end
if not sane then
  return redis.error_reply('PULLET give_back: the arguments do not have the expected form')
end
local function soonest(flat)
  local urgent = field(flat, 'lane') == 'high' and redis.call('XLEN', key.lane[3]) < redis.call('XLEN', key.lane[1])
  return key.lane[urgent and 3 or 1]
end
local function give(number, lane, entry, flat)
  local place = number ~= 2 and place_lane(flat)
  if not place then return reissue(number == 2 and lane or soonest(flat), flat, entry, {}) end
  local since = whole(field(flat, 'since')) or tonumber(entry:match('^%d+'))
  local waited = field(flat, 'spilled') or since + spill_ms <= now()
  reissue(waited and soonest(flat) or place, flat, entry, waited and {spilled = 1} or {})
end
local given = 0
for i = rest, #ARGV, 2 do
  local number, entry = tonumber(ARGV[i]), ARGV[i + 1]
  local lane = key.lane[number]
  local flat = read_entry(lane, entry)
  if flat and redis.call('XACK', lane, 'workers', entry) == 1 then
    if is_cancelled(field(flat, 'id') or '') then
      settle_as('cancelled', lane, entry, flat, arg.consumer)
    else
      give(number, lane, entry, flat)
      redis.call('XDEL', lane, entry)
      given = given + 1
    end
  end
end
if given > 0 then redis.call('HINCRBY', key.stats, 'given_back', given) end
post()
return given
