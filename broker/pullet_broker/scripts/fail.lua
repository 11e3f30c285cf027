-- fail: end one attempt that raised: park the job for a retry, or dead-letter it and reply.
-- KEYS     config cancelled watched progress named stats events dead buried delayed parked LANES
-- ARGV     consumer lane entry retry delay_ms error note log events dead_letters dead_ms reply inbox blob inline ttl
--          retry: 1 to run it again after delay_ms, else error (a whole reply) is the outcome;
--          note: type and text of what was raised, in short; log: the last lines of the attempt's log, for a letter;
--          events: a line on it while somebody watches, else ''
-- RETURNS  DEAD | PARKED | CANCELLED | FENCED
-- USES     numbers clock entry events settle settle_as reissue history letters bury
-- OOM      allow
-- ATOMIC   the old attempt must end in the same step in which the next one begins
local lane, delay = key.lane[whole(arg.lane)], whole(arg.delay_ms)
if not (lane and delay and is_entry_id(arg.entry) and can_settle() and can_bury()) then
  return redis.error_reply('PULLET fail: the arguments do not have the expected form')
end
local flat = read_entry(lane, arg.entry)
if redis.call('XACK', lane, 'workers', arg.entry) == 0 or not flat then return 'FENCED' end

local id = field(flat, 'id') or ''
local errors = remembered(flat, arg.consumer, 'raised ' .. arg.note)
local function tell_of_it(what)
  if arg.events ~= '' then publish(arg.consumer, what, arg.events) end
end
if arg.retry ~= '1' then
  tell_of_it('ended')
  bury(flat, arg.entry, arg.consumer, arg.error, errors, arg.log)
  settle(lane, arg.entry, id, field(flat, 'client'), field(flat, 'ttl'), arg.error)
  post()
  return 'DEAD'
end
if is_cancelled(id) then
  settle_as('cancelled', lane, arg.entry, flat, arg.consumer)
  post()
  return 'CANCELLED'
end
tell_of_it('again')
local function more(name, from) return (whole(field(flat, name)) or from) + 1 end
local again = changed(flat, arg.entry, {attempt = more('attempt', 1), raised = more('raised', 0), errors = errors})
if delay > 0 then
  redis.call('HSET', key.parked, id, cmsgpack.pack(again))
  redis.call('ZADD', key.delayed, now() + delay, id)
else
  redis.call('XADD', home(flat), '*', unpack(again))
end
redis.call('XDEL', lane, arg.entry)
redis.call('HINCRBY', key.stats, 'retried', 1)
return 'PARKED'
