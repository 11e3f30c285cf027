-- storm: suspects that keep killing their workers cost a pool a quarter of its time at most. Needs key.storm, key.workers.
-- It holds "<suspects that killed> <workers before> <ms before which none runs>" and ends ten minutes after the last one.
-- A quarter of the workers may run one, or be missing because of one. In a pool of less than four one is more than that:
-- there a pause follows, in which all work on other jobs, in proportion to the time that the dead one's successor took. It
-- begins when the pool is at strength again. What takes longer than a minute is a pool that was made smaller.
local LONGEST, REFILL, QUIET, PART = 60000, 60000, 600000, 4

local function storm()
  local killed, size, at = (redis.call('GET', key.storm) or ''):match('^(%d+) (%d+) (%d+)$')
  return whole(killed) or 0, whole(size) or 0, whole(at) or 0
end

local function blow()
  local killed, size = storm()
  size = math.max(size, redis.call('HLEN', key.workers) + 1)
  redis.call('SET', key.storm, killed + 1 .. ' ' .. size .. ' 0', 'PX', QUIET)
end

local function lost_ms() return QUIET - redis.call('PTTL', key.storm) end

local function begin_pause(killed, workers)
  local at = now() + math.min(LONGEST, math.floor(lost_ms() * math.max(0, PART / math.max(1, workers) - 1)))
  redis.call('SET', key.storm, killed .. ' ' .. workers .. ' ' .. at, 'KEEPTTL')
  return at
end

-- Is it calm, and may one more suspect be taken?
local function weather()
  local killed, size, at = storm()
  if killed == 0 then return true, true end
  local workers = redis.call('HLEN', key.workers)
  local missing = lost_ms() < REFILL and math.max(0, size - workers) or 0
  if at == 0 and killed > 1 and missing == 0 then at = begin_pause(killed, workers) end -- a single one is no reason to wait
  local left = at - now()
  if left > 0 and left <= LONGEST then return false, false end -- more: the clock was set back
  local running = redis.pcall('XPENDING', key.lane[2], 'workers')
  if running.err then return false, false end
  if killed == 1 then missing = 0 end
  return false, running[1] + missing < math.max(1, math.floor((workers + missing) / PART))
end
