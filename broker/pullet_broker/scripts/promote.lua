-- promote: issue the delayed jobs that are due.
-- KEYS     config cancelled watched progress named stats events delayed parked LANES
-- ARGV     consumer most reply inbox blob inline ttl
-- RETURNS  how many were issued
-- USES     numbers clock entry events settle settle_as reissue
-- OOM      allow
-- ATOMIC   two ticks at once must not issue one job twice
if not (positive(arg.most) and can_settle()) then
  return redis.error_reply('PULLET promote: the arguments do not have the expected form')
end
local issued = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.delayed, '-inf', now(), 'LIMIT', 0, arg.most)) do
  local packed = redis.call('HGET', key.parked, id)
  redis.call('ZREM', key.delayed, id)
  redis.call('HDEL', key.parked, id)
  if packed then
    local flat = cmsgpack.unpack(packed)
    if is_cancelled(id) then
      settle_as('cancelled', nil, nil, flat, arg.consumer)
    else
      redis.call('XADD', home(flat), '*', unpack(flat))
      issued = issued + 1
    end
  end
end
post()
return issued
