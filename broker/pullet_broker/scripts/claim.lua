-- claim: may a worker run a job with a key that it got from a plain blocking read, which looks at nothing?
-- KEYS     LANES
-- ARGV     consumer lane entry home_ms
-- RETURNS  1: it runs here, and here is its key's home if it had none; 0: give it back, and it goes to its home
-- USES     numbers clock entry reissue settle_in
-- OOM      allow
-- ATOMIC   of two workers that ask at once for jobs of one key, one finds that the other has made a home of its place
-- It moves nothing itself: a call that arrives late, when the worker has adopted the job and runs it, must not take it
-- away.
local lane = key.lane[whole(arg.lane)]
if not (lane and positive(arg.home_ms) and is_entry_id(arg.entry)) then
  return redis.error_reply('PULLET claim: the arguments do not have the expected form')
end
local held = redis.pcall('XPENDING', lane, 'workers', arg.entry, arg.entry, 1, arg.consumer)
local flat = not held.err and #held > 0 and read_entry(lane, arg.entry)
return flat and not elsewhere(flat) and 1 or 0
