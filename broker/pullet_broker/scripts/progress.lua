-- progress: keep how far a running job is, and tell those who wait for it.
-- KEYS     progress watched inbox LANES
-- ARGV     consumer lane entry job value boxes client_ms
--          inbox: that of the job's client; boxes: what the keys of all inboxes begin with
-- RETURNS  OK | FENCED
-- USES     numbers clock entry
-- ATOMIC   only whoever holds the entry may say so, and nobody after the job has ended: that deletes what is kept here
-- Refused on a full server: it is new data, and nothing depends on it.
local lane = key.lane[whole(arg.lane)]
if not (lane and is_entry_id(arg.entry) and positive(arg.client_ms)) then
  return redis.error_reply('PULLET progress: the arguments do not have the expected form')
end
local pending = redis.pcall('XPENDING', lane, 'workers', arg.entry, arg.entry, 1, arg.consumer)
if pending.err or #pending == 0 then return 'FENCED' end
redis.call('HSET', key.progress, arg.job, arg.value)
redis.call('PEXPIRE', key.progress, arg.client_ms)
local name = arg.job .. ':progress'
redis.pcall('XADD', key.inbox, 'NOMKSTREAM', '*', name, arg.value)
for reader in (redis.call('HGET', key.watched, arg.job) or ''):gmatch('%S+') do
  redis.pcall('XADD', arg.boxes .. reader, 'NOMKSTREAM', '*', name, arg.value)
end
return 'OK'
