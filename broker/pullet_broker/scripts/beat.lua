-- beat: a worker shows that it lives; about once a second one caller also makes a tick for all.
-- KEYS     config workers beats missed tick storm cancelled delayed places LANES
-- ARGV     schema consumer number record tick_ms lease spill_ms ...
--          then consumers that the caller vouches for
--          number: the caller's own counter, 0 to register, '' for a watcher (it makes ticks and takes nothing);
--          record: who the worker is, when that is new, else ''; lease: ticks without a new beat until death
-- RETURNS  {status, dead consumers, delayed jobs are due: 0 or 1, places to spill, watched_us, paused: 0 or 1, calm: 0 or 1,
--          workers, ticked: 0 or 1}
--          OK | STRANGER | SCHEMA; watched_us: 0, or Redis time while somebody watches: see events.lua
--          calm: 0 in a storm, see storm.lua; workers: how many are registered, the dead that nobody
--          has reaped yet among them; ticked: this one made the tick. Who rests between beats needs both: see rest.py
--          to spill: nobody works there any more, or a job has waited there for spill_ms (which a pause does not count)
-- USES     schema groups numbers clock entry place
-- OOM      allow
-- ATOMIC   a look must be a write of the same step: where beats cannot be written, no time passes for anybody
local lease, spill_ms = positive(arg.lease), whole(arg.spill_ms)
if not (lease and spill_ms and positive(arg.tick_ms)) then
  return redis.error_reply('PULLET beat: the arguments do not have the expected form')
end
-- There is a beat for each worker and second, and a tick in about one of them: what comes before it is six commands.
local config = redis.call('HMGET', key.config, 'schema', 'watched', 'paused')
if not same_schema(config[1]) then return {'SCHEMA', {}, 0, {}, 0, 0, 1, 0, 0} end
local watched_us, paused, calm = 0, config[3] and 1 or 0, redis.call('GET', key.storm) and 0 or 1
if config[2] and (whole(config[2]) or 0) > now() then
  local time = redis.call('TIME')
  watched_us = time[1] * 1000000 + time[2]
end

-- The lane of a place may be made again after it ended. Its ids go on from a number that no earlier one of the same
-- millisecond had: a late outcome must not meet another job's entry.
local function settle_at(lane)
  local fresh = redis.call('EXISTS', lane) == 0
  make_groups()
  if fresh then
    local time = redis.call('TIME') -- not now(): milliseconds and the rest must be of one moment
    local ms, us = time[1] * 1000 + math.floor(time[2] / 1000), time[2] % 1000
    redis.call('XSETID', lane, string.format('%d-%d', ms, (us + 1) * 1000000))
  end
  redis.call('XGROUP', 'CREATECONSUMER', lane, 'workers', arg.consumer)
  redis.call('SADD', key.places, lane:sub(#at_key('') + 1))
end
if arg.number ~= '' then
  -- A consumer that was reaped never comes back under its old name, however late it beats.
  local known = redis.call('HEXISTS', key.workers, arg.consumer) == 1
  if not known and arg.number ~= '0' then return {'STRANGER', {}, 0, {}, 0, 0, 1, 0, 0} end
  if arg.number == '0' and key.lane[6] then settle_at(key.lane[6]) elseif arg.number == '0' then make_groups() end
  if arg.record ~= '' then redis.call('HSET', key.workers, arg.consumer, arg.record) end
  redis.call('HSET', key.beats, arg.consumer, arg.number)
end
for i = rest, #ARGV do redis.call('HDEL', key.missed, ARGV[i]) end
-- One that lasts longer than it can is from before the clock was set back: it would keep all from ticking until then.
local workers, left = redis.call('HLEN', key.workers), redis.call('PTTL', key.tick)
if left >= 0 and left <= tonumber(arg.tick_ms) then
  return {'OK', {}, 0, {}, watched_us, paused, calm, workers, 0}
end
redis.call('SET', key.tick, arg.consumer, 'PX', arg.tick_ms)

local function hash(name)
  local flat, out = redis.call('HGETALL', name), {}
  for i = 1, #flat, 2 do out[flat[i]] = flat[i + 1] end
  return out
end
local registered = {}
for _, consumer in ipairs(redis.call('HKEYS', key.workers)) do registered[consumer] = lease end
-- Entries can be delivered to a consumer after it was reaped. It never registers again, so two looks are enough.
for _, lane in ipairs(all_lanes()) do
  local summary = redis.pcall('XPENDING', lane, 'workers')
  for _, row in ipairs(not summary.err and summary[4] or {}) do
    if not registered[row[1]] then registered[row[1]] = 2 end
  end
end
-- A read that arrives after its consumer was forgotten makes it anew, and may bring it nothing.
for _, lane in ipairs(all_lanes()) do
  if count_consumers(lane) > workers then
    for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', lane, 'workers')) do
      local name = field(row, 'name')
      registered[name] = registered[name] or 0
    end
  end
end
local beats, missed, dead = hash(key.beats), hash(key.missed), {}
-- One that was reaped and not forgotten: its reaper died between the two.
for consumer in pairs(beats) do registered[consumer] = registered[consumer] or 2 end
local looks = {}
for consumer, limit in pairs(registered) do
  local beat = beats[consumer] or '-'
  local count, seen = (missed[consumer] or ''):match('^(%d+) (.*)$')
  count = seen == beat and tonumber(count) + 1 or 0
  looks[#looks + 1] = consumer
  looks[#looks + 1] = count .. ' ' .. beat
  if count >= limit then dead[#dead + 1] = consumer end
end
for i = 1, #looks, 1000 do redis.call('HSET', key.missed, unpack(looks, i, math.min(i + 999, #looks))) end
for consumer in pairs(missed) do
  if not registered[consumer] then redis.call('HDEL', key.missed, consumer) end
end
local due = redis.call('ZCOUNT', key.delayed, '-inf', now()) > 0 and 1 or 0
if due == 0 and redis.call('EXISTS', key.cancelled) == 1 then -- a job that is due may have been cancelled long ago
  redis.call('ZREMRANGEBYSCORE', key.cancelled, '-inf', now() - 86400000)
end
local spill, latest = {}, string.format('%d', now() - spill_ms)
for _, place in ipairs(places()) do
  local lane = at_key(place)
  if not is_inhabited(lane) or paused == 0 and #waiting(lane, latest, 1) > 0 then spill[#spill + 1] = place end
end
return {'OK', dead, due, spill, watched_us, paused, calm, workers, 1}
