-- survey: what a queue has to do and who does it: one look for whoever scales or watches it.
-- KEYS     config workers beats delayed LANES
-- ARGV
-- RETURNS  {waiting, running, oldest_ms, paused: 0 or 1, {consumer, record, ...}, {consumer, beat, ...},
--          {consumer, jobs in hand, ...}, {last entry of each lane}}
--          waiting: not taken by anybody, delayed jobs that are due included; oldest_ms: age of the oldest of them
-- USES     entry
-- OOM      allow
-- ATOMIC   numbers of different moments do not add up
local waiting, running, oldest, hands, tops = 0, 0, 0, {}, {}
for number, lane in ipairs(key.lane) do
  local groups = redis.pcall('XINFO', 'GROUPS', lane)
  local group = not groups.err and groups[1]
  if group then
    local pending = redis.call('XPENDING', lane, 'workers')
    local left = redis.call('XLEN', lane) - pending[1]
    running = running + pending[1]
    waiting = waiting + left
    for _, row in ipairs(pending[4] or {}) do
      hands[#hands + 1] = row[1]
      hands[#hands + 1] = tonumber(row[2])
    end
    if left > 0 then
      local first = redis.call('XRANGE', lane, '(' .. field(group, 'last-delivered-id'), '+', 'COUNT', 1)[1]
      if first then oldest = math.max(oldest, now() - whole(first[1]:match('^%d+'))) end
    end
  end
  local stream = redis.pcall('XINFO', 'STREAM', lane)
  tops[number] = not stream.err and field(stream, 'last-generated-id') or '0-0'
end
waiting = waiting + redis.call('ZCOUNT', key.delayed, '-inf', now())
return {waiting, running, oldest, redis.call('HEXISTS', key.config, 'paused'), redis.call('HGETALL', key.workers),
  redis.call('HGETALL', key.beats), hands, tops}
