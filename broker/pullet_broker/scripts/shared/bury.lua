-- bury: keep a job that failed for good as a dead letter. Needs key.dead, key.buried, key.stats, arg.dead_letters, arg.dead_ms, arg.blob.
local function can_bury() return positive(arg.dead_letters) and positive(arg.dead_ms) end

-- A letter that makes room takes its large arguments along. One call makes room for more than it adds, so that a cap
-- that was lowered is reached step by step.
local function make_room()
  for _ = 1, 3 do
    if redis.call('XLEN', key.dead) <= tonumber(arg.dead_letters) then return end
    local oldest = redis.call('XRANGE', key.dead, '-', '+', 'COUNT', 1)[1]
    local job = field(oldest[2], 'id') or ''
    drop_letter(oldest[1], job)
    if field(oldest[2], 'blob') then drop_arguments(job) end
  end
end

local function bury(flat, entry, consumer, reply, errors, log)
  local job, large = field(flat, 'id') or '', field(flat, 'blob')
  local place = find_letter(job) -- of an earlier job with this id; or a server that lost its last second does it twice
  if place then drop_letter(place, job) end
  if place and not large then drop_arguments(job) end
  local letter = changed(flat, entry, {worker = consumer, error = reply, errors = errors, log = log ~= '' and log or nil})
  redis.call('HSET', key.buried, job, redis.call('XADD', key.dead, '*', unpack(letter)))
  redis.call('HINCRBY', key.stats, 'dead', 1)
  if large then redis.call('PEXPIRE', arg.blob .. job, arg.dead_ms) end
  make_room()
end
