-- forget: remove a consumer that holds nothing, and the lane of its place where that is of no use to anybody any more.
-- KEYS     workers beats missed places LANES
-- ARGV     consumer
-- RETURNS  1 when it is gone, 0 when something is pending for it (reap first)
-- USES     numbers clock entry place
-- OOM      allow
-- ATOMIC   XGROUP DELCONSUMER drops what is pending: the check and the deletion must be one step
local lanes = all_lanes()
for _, lane in ipairs(lanes) do
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', 1, arg.consumer)
  if not pending.err and #pending > 0 then return 0 end
end
for _, lane in ipairs(lanes) do redis.pcall('XGROUP', 'DELCONSUMER', lane, 'workers', arg.consumer) end
redis.call('HDEL', key.workers, arg.consumer)
redis.call('HDEL', key.beats, arg.consumer)
redis.call('HDEL', key.missed, arg.consumer)
for _, place in ipairs(places()) do close_place(place) end
return 1
