-- storm: suspects that keep killing their workers are run one after the other, with pauses. Needs key.storm, key.workers.
-- It holds "<suspects that killed> <workers before> <ms before which none runs>" and ends ten minutes after the last one.
-- A pause begins when the pool is at strength again, so that however slowly workers start, all of them work on other
-- jobs in between. What takes longer than a minute is a pool that was made smaller.
local LONGEST, REFILL, QUIET = 10000, 60000, 600000

local function storm()
  local killed, size, at = (redis.call('GET', key.storm) or ''):match('^(%d+) (%d+) (%d+)$')
  return whole(killed) or 0, whole(size) or 0, whole(at) or 0
end

local function blow()
  local killed, size = storm()
  size = math.max(size, redis.call('HLEN', key.workers) + 1)
  redis.call('SET', key.storm, killed + 1 .. ' ' .. size .. ' 0', 'PX', QUIET)
end

-- 1, 2, 4, 8, 10 s.
local function begin_pause(killed, size)
  local workers = redis.call('HLEN', key.workers)
  if workers < size and QUIET - redis.call('PTTL', key.storm) < REFILL then return nil end
  local at = now() + math.min(LONGEST, 1000 * 2 ^ math.min(killed - 2, 10))
  redis.call('SET', key.storm, killed .. ' ' .. workers .. ' ' .. at, 'KEEPTTL')
  return at
end

-- Is it calm, and may one more suspect be taken? In a storm one runs at a time, in a large pool one for every eight workers.
local function weather()
  local killed, size, at = storm()
  if killed == 0 then return true, true end
  if at == 0 and killed > 1 then at = begin_pause(killed, size) end -- a single one is no reason to wait
  local left = at and at - now()
  if not left or (left > 0 and left <= LONGEST) then return false, false end -- more: the clock was set back
  local running = redis.pcall('XPENDING', key.lane[2], 'workers')
  return false, not running.err and running[1] < math.max(1, math.floor(redis.call('HLEN', key.workers) / 8))
end
