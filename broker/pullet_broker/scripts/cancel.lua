-- cancel: ask that a job does not run. A parked one ends here; any other at the next hand that touches it.
-- KEYS     config cancelled watched progress named stats events delayed parked stops
-- ARGV     job force reply inbox blob inline ttl
--          force: 1 to replace the worker of a run that cannot be interrupted, else 0
-- RETURNS  CANCELLED | DONE | ASKED
-- USES     numbers clock entry events settle settle_as
-- OOM      allow
-- ATOMIC   a parked job must not be promoted while it is cancelled. An undelivered entry is never deleted: whoever
--          takes, fails, reaps, gives back or promotes the job finds the tombstone; a finish that comes first wins
if not (can_settle() and (arg.force == '0' or arg.force == '1')) then
  return redis.error_reply('PULLET cancel: the arguments do not have the expected form')
end
local packed = redis.call('HGET', key.parked, arg.job)
-- An account that may write no replies, as clients should not, leaves it to the next tick: it is due at once, and ends
-- there as cancelled. The write that asks changes nothing: a parked job has no reply.
local refused = packed and redis.pcall('SET', arg.reply .. arg.job, '', 'XX')
if refused and refused.err then
  redis.call('ZADD', key.cancelled, now(), arg.job)
  redis.call('ZADD', key.delayed, 'XX', now(), arg.job)
  return 'CANCELLED'
end
if packed then
  redis.call('ZREM', key.delayed, arg.job)
  redis.call('HDEL', key.parked, arg.job)
  settle_as('cancelled', nil, nil, cmsgpack.unpack(packed), '-')
  post()
  return 'CANCELLED'
end
if redis.call('EXISTS', arg.reply .. arg.job) == 1 then return 'DONE' end
redis.call('ZADD', key.cancelled, now(), arg.job)
-- The tombstone decides; this only wakes whoever runs the job. A reader that heard nothing for a minute starts from 0.
redis.call('XADD', key.stops, 'MAXLEN', '~', 10000, '*', 'job', arg.job, 'force', arg.force)
redis.call('PEXPIRE', key.stops, 60000)
return 'ASKED'
