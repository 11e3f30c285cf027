-- bury: keep a job that failed for good as a dead letter. Needs key.dead, key.stats, arg.dead_letters, arg.dead_ms, arg.blob.
local function can_bury() return positive(arg.dead_letters) and positive(arg.dead_ms) end

local function bury(flat, entry, consumer, reply)
  local letter = changed(flat, entry, {worker = consumer, error = reply})
  redis.call('XADD', key.dead, 'MAXLEN', '~', arg.dead_letters, '*', unpack(letter))
  redis.call('HINCRBY', key.stats, 'dead', 1)
  if field(flat, 'blob') then
    redis.call('PEXPIRE', arg.blob .. (field(flat, 'id') or ''), arg.dead_ms)
  end
end
