-- watch: a client wants to hear how a job of another client ends. A job that has ended is told of at once.
-- KEYS     watched
-- ARGV     job me reply inbox inline client_ms most
--          most: clients that may wait for one job
-- RETURNS  DONE | WATCHING | FULL
-- USES     numbers join
-- OOM      allow
-- ATOMIC   between the look for the reply and the entry in `watched` nobody must settle the job
if not (whole(arg.inline) and positive(arg.client_ms) and positive(arg.most)) or #arg.me ~= 32 or arg.me:find('%X') then
  return redis.error_reply('PULLET watch: the arguments do not have the expected form')
end
local inbox = arg.inbox .. arg.me
if redis.call('PEXPIRE', inbox, arg.client_ms) == 0 then -- a full server has not taken the client's first call
  redis.call('XADD', inbox, '*', ':open', arg.me)
  redis.call('PEXPIRE', inbox, arg.client_ms)
end
return join(arg.job, inbox, arg.client_ms, tonumber(arg.most))
