-- join: a client wants to hear how a job ends that it did not submit itself. Needs key.watched, arg.me, arg.reply, arg.inline.
-- DONE: it was told of it now; WATCHING: it will be; FULL: too many wait for it.
local function join(job, inbox, client_ms, most)
  local reply = redis.call('GETRANGE', arg.reply .. job, 0, arg.inline) -- a byte more than goes into an inbox
  if reply ~= '' then
    redis.call('XADD', inbox, 'NOMKSTREAM', '*', job, #reply <= tonumber(arg.inline) and reply or '')
    return 'DONE'
  end
  local readers = redis.call('HGET', key.watched, job) or ''
  if not readers:find(arg.me, 1, true) then
    if #readers >= 33 * most then return 'FULL' end
    redis.call('HSET', key.watched, job, readers .. arg.me .. ' ')
  end
  redis.call('PEXPIRE', key.watched, client_ms)
  return 'WATCHING'
end
