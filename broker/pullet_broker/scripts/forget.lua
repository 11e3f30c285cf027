-- forget: remove a consumer that holds nothing.
-- KEYS     workers beats missed LANES
-- ARGV     consumer
-- RETURNS  1 when it is gone, 0 when something is pending for it (reap first)
-- OOM      allow
-- ATOMIC   XGROUP DELCONSUMER drops what is pending: the check and the deletion must be one step
for _, lane in ipairs(key.lane) do
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', 1, arg.consumer)
  if not pending.err and #pending > 0 then return 0 end
end
for _, lane in ipairs(key.lane) do redis.pcall('XGROUP', 'DELCONSUMER', lane, 'workers', arg.consumer) end
redis.call('HDEL', key.workers, arg.consumer)
redis.call('HDEL', key.beats, arg.consumer)
redis.call('HDEL', key.missed, arg.consumer)
return 1
