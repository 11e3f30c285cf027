-- empty: end jobs that nobody has taken, and delayed ones, as cancelled: a piece of them a call.
-- KEYS     config cancelled watched progress named stats events delayed parked places LANES
-- ARGV     consumer latest most reply inbox blob inline ttl
--          consumer: a name that nobody else has; latest (ms): entries that were added later stay
-- RETURNS  {ended, more to do: 0 or 1}
-- USES     numbers clock entry events settle settle_as place
-- OOM      allow
-- ATOMIC   an undelivered entry is never deleted: it is taken here, and its XACK is the fence as for any worker
local latest, left, ended = whole(arg.latest), positive(arg.most), 0
if not (latest and left and can_settle()) then
  return redis.error_reply('PULLET empty: the arguments do not have the expected form')
end
local function end_waiting(lane)
  local found = waiting(lane, arg.latest, left)
  if #found == 0 then return end
  local taken = redis.call('XREADGROUP', 'GROUP', 'workers', arg.consumer, 'COUNT', #found, 'STREAMS', lane, '>')
  for _, entry in ipairs(taken and taken[1][2] or {}) do
    if redis.call('XACK', lane, 'workers', entry[1]) == 1 then
      settle_as('cancelled', lane, entry[1], entry[2], '-')
      ended = ended + 1
    end
  end
  left = left - #found
  redis.call('XGROUP', 'DELCONSUMER', lane, 'workers', arg.consumer)
end
for _, lane in ipairs(all_lanes()) do
  if left > 0 then end_waiting(lane) end
end
for _, id in ipairs(left > 0 and redis.call('ZRANGE', key.delayed, 0, left - 1) or {}) do
  local packed = redis.call('HGET', key.parked, id)
  redis.call('ZREM', key.delayed, id)
  redis.call('HDEL', key.parked, id)
  if packed then
    settle_as('cancelled', nil, nil, cmsgpack.unpack(packed), '-')
    ended = ended + 1
  end
  left = left - 1
end
post()
return {ended, left > 0 and 0 or 1}
