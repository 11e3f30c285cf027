-- survey: what a queue has to do and who does it: one look for whoever scales or watches it.
-- KEYS     config workers beats delayed places LANES
-- ARGV
-- RETURNS  {waiting, running, oldest_ms, paused: 0 or 1, {consumer, record, ...}, {consumer, beat, ...},
--          {consumer, jobs in hand, ...}, {last entry of each common lane}}
--          waiting: not taken by anybody, delayed jobs that are due included; oldest_ms: age of the oldest of them
-- USES     numbers clock entry
-- OOM      allow
-- ATOMIC   numbers of different moments do not add up
local waiting, running, oldest, hands, tops = 0, 0, 0, {}, {}
-- A lane may have no group yet, others beside ours, or be no stream at all: whoever made it so gets no error here.
local function delivered_to(lane)
  local groups = redis.pcall('XINFO', 'GROUPS', lane)
  for _, group in ipairs(not groups.err and groups or {}) do
    if field(group, 'name') == 'workers' then return field(group, 'last-delivered-id') end
  end
  return nil
end

local function look(lane)
  local stream = redis.pcall('XINFO', 'STREAM', lane)
  if stream.err then return '0-0' end
  local last = delivered_to(lane)
  local pending = last and redis.call('XPENDING', lane, 'workers') or {0}
  local left = math.max(0, field(stream, 'length') - pending[1]) -- of what is pending an entry may be deleted by hand
  running, waiting = running + pending[1], waiting + left
  for _, row in ipairs(pending[4] or {}) do
    hands[#hands + 1] = row[1]
    hands[#hands + 1] = tonumber(row[2])
  end
  local first = left > 0 and redis.call('XRANGE', lane, '(' .. (last or '0-0'), '+', 'COUNT', 1)[1]
  if first then oldest = math.max(oldest, now() - (whole(first[1]:match('^%d+')) or now())) end
  return field(stream, 'last-generated-id')
end

for number, lane in ipairs(key.lane) do tops[number] = look(lane) end
for _, place in ipairs(redis.call('SMEMBERS', key.places)) do look(at_key(place)) end
local due = redis.call('ZCOUNT', key.delayed, '-inf', now())
if due > 0 then
  local first = redis.call('ZRANGE', key.delayed, 0, 0, 'WITHSCORES')
  waiting, oldest = waiting + due, math.max(oldest, now() - (whole(first[2]) or now()))
end
return {waiting, running, oldest, redis.call('HEXISTS', key.config, 'paused'), redis.call('HGETALL', key.workers),
  redis.call('HGETALL', key.beats), hands, tops}
