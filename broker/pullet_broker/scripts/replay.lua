-- replay: run the job of a dead letter once more as if it were new, under its own id.
-- KEYS     config named parked dead buried stats cancelled places LANES
-- ARGV     schema job home_ms backlog reply blob
-- RETURNS  {status, backlog, limit}      OK | MISSING | GONE | FULL | SCHEMA
--          MISSING: there is no such letter, it was replayed before, or a new job has its id or has ended under it;
--          GONE: its large arguments have expired
-- USES     schema numbers clock entry reissue letters backlog
-- ATOMIC   the job must not be both dead and waiting, and its arguments must not end while it waits
if not (whole(arg.backlog) and positive(arg.home_ms)) then
  return redis.error_reply('PULLET replay: the arguments do not have the expected form')
end
local config = redis.call('HMGET', key.config, 'schema', 'backlog', 'keyed')
if not same_schema(config[1]) then return {'SCHEMA', 0, 0} end
local place, flat = find_letter(arg.job)
if not flat then
  if place then drop_letter(place, arg.job) end -- the letter was deleted by hand
  return {'MISSING', 0, 0}
end
if redis.call('HEXISTS', key.named, arg.job) == 1 then return {'MISSING', 0, 0} end
local outcome = redis.call('GETRANGE', arg.reply .. arg.job, 0, 15):match('^%a+')
if outcome and outcome ~= (field(flat, 'error') or ''):match('^%a+') then return {'MISSING', 0, 0} end
local large = field(flat, 'blob')
if large and redis.call('EXISTS', arg.blob .. arg.job) == 0 then return {'GONE', 0, 0} end
local backlog, limit = count_backlog(config)
if backlog >= limit then return {'FULL', backlog, limit} end

local name = field(flat, 'key')
if name then redis.call('PEXPIRE', home_key(name), arg.home_ms) end
redis.call('XADD', home(flat), '*', unpack(anew(flat)))
if field(flat, 'named') then redis.call('HSET', key.named, arg.job, now()) end
if large then redis.call('PERSIST', arg.blob .. arg.job) end
redis.call('UNLINK', arg.reply .. arg.job)
redis.call('ZREM', key.cancelled, arg.job)
drop_letter(place, arg.job)
redis.call('HINCRBY', key.stats, 'replayed', 1)
return {'OK', backlog + 1, limit}
