-- beat: a worker shows that it lives; about once a second one caller also makes a tick for all.
-- KEYS     config workers beats missed tick cancelled delayed LANES
-- ARGV     schema consumer number record tick_ms lease ...
--          then consumers that the caller vouches for
--          number: the caller's own counter, 0 to register, '' for a watcher (it makes ticks and takes nothing);
--          record: who the worker is, when that is new, else ''; lease: ticks without a new beat until death
-- RETURNS  {status, dead consumers, delayed jobs are due: 0 or 1}      OK | STRANGER | SCHEMA
-- USES     schema groups entry
-- OOM      allow
-- ATOMIC   a look must be a write of the same step: where beats cannot be written, no time passes for anybody
local lease = positive(arg.lease)
if not (lease and positive(arg.tick_ms)) then
  return redis.error_reply('PULLET beat: the arguments do not have the expected form')
end
if not same_schema() then return {'SCHEMA', {}, 0} end
if arg.number ~= '' then
  -- A consumer that was reaped never comes back under its old name, however late it beats.
  local known = redis.call('HEXISTS', key.workers, arg.consumer) == 1
  if not known and arg.number ~= '0' then return {'STRANGER', {}, 0} end
  if arg.number == '0' then make_groups() end
  if arg.record ~= '' then redis.call('HSET', key.workers, arg.consumer, arg.record) end
  redis.call('HSET', key.beats, arg.consumer, arg.number)
end
for i = rest, #ARGV do redis.call('HDEL', key.missed, ARGV[i]) end
if not redis.call('SET', key.tick, arg.consumer, 'NX', 'PX', arg.tick_ms) then return {'OK', {}, 0} end

local function hash(name)
  local flat, out = redis.call('HGETALL', name), {}
  for i = 1, #flat, 2 do out[flat[i]] = flat[i + 1] end
  return out
end
local registered = {}
for _, consumer in ipairs(redis.call('HKEYS', key.workers)) do registered[consumer] = lease end
-- Entries can be delivered to a consumer after it was reaped. It never registers again, so two looks are enough.
for _, lane in ipairs(key.lane) do
  local summary = redis.pcall('XPENDING', lane, 'workers')
  for _, row in ipairs(not summary.err and summary[4] or {}) do
    if not registered[row[1]] then registered[row[1]] = 2 end
  end
end
local beats, missed, dead = hash(key.beats), hash(key.missed), {}
-- One that was reaped and not forgotten: its reaper died between the two.
for consumer in pairs(beats) do registered[consumer] = registered[consumer] or 2 end
for consumer, limit in pairs(registered) do
  local beat = beats[consumer] or '-'
  local count, seen = (missed[consumer] or ''):match('^(%d+) (.*)$')
  count = seen == beat and tonumber(count) + 1 or 0
  redis.call('HSET', key.missed, consumer, count .. ' ' .. beat)
  if count >= limit then dead[#dead + 1] = consumer end
end
for consumer in pairs(missed) do
  if not registered[consumer] then redis.call('HDEL', key.missed, consumer) end
end
if redis.call('EXISTS', key.cancelled) == 1 then
  redis.call('ZREMRANGEBYSCORE', key.cancelled, '-inf', now() - 86400000)
end
local due = redis.call('ZCOUNT', key.delayed, '-inf', now()) > 0 and 1 or 0
return {'OK', dead, due}
