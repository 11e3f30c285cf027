-- watch: a client wants to hear how a job of another client ends. A job that has ended is told of at once.
-- KEYS     watched
-- ARGV     job me reply inbox inline client_ms most
--          most: clients that may wait for one job
-- RETURNS  DONE | WATCHING | FULL
-- USES     entry
-- OOM      allow
-- ATOMIC   between the look for the reply and the entry in `watched` nobody must settle the job
if not (whole(arg.inline) and positive(arg.client_ms) and positive(arg.most)) or #arg.me ~= 32 or arg.me:find('%X') then
  return redis.error_reply('PULLET watch: the arguments do not have the expected form')
end
local reply = redis.call('GET', arg.reply .. arg.job)
if reply then
  redis.call('XADD', arg.inbox .. arg.me, 'NOMKSTREAM', '*', arg.job, #reply <= tonumber(arg.inline) and reply or '')
  return 'DONE'
end
local readers = redis.call('HGET', key.watched, arg.job) or ''
if not readers:find(arg.me, 1, true) then
  if #readers >= 33 * tonumber(arg.most) then return 'FULL' end
  redis.call('HSET', key.watched, arg.job, readers .. arg.me .. ' ')
end
redis.call('PEXPIRE', key.watched, arg.client_ms)
return 'WATCHING'
