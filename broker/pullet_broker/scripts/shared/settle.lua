-- settle: write the one outcome of a job. Needs key.cancelled, key.watched, key.progress, key.named, key.stats, arg.reply,
-- arg.inbox, arg.inline, arg.ttl, and numbers.
-- Whoever calls it owns the job: its XACK returned 1 in this script, or it was parked and is no more.
local mail, gone, done, others, tell_events = {}, {}, 0, nil, nil
local function can_settle() return whole(arg.inline) and positive(arg.ttl) end
local some -- which of these keys there are; mostly none
if redis.call('EXISTS', key.cancelled, key.watched, key.progress, key.named) > 0 then
  some = {
    tombs = redis.call('EXISTS', key.cancelled) == 1,
    watched = redis.call('EXISTS', key.watched) == 1,
    progress = redis.call('EXISTS', key.progress) == 1,
    named = redis.call('EXISTS', key.named) == 1,
  }
end

local function tell(client, job, text)
  local box = client and mail[client]
  if not box then
    if not client or #client ~= 32 or not client:find('^%x+$') then return end
    box = {}
    mail[client] = box
  end
  box[#box + 1] = job
  box[#box + 1] = text
end

-- `lane` and `entry` are nil for a parked job; `ttl` and `client` may be whatever an entry held. Where there is a `draft`,
-- it holds the reply and has its TTL; `reply` is then only the first line, and the inbox gets nothing but the fact.
local function settle(lane, entry, job, client, ttl, reply, draft)
  if draft then
    redis.call('RENAME', draft, arg.reply .. job)
  else
    redis.call('SET', arg.reply .. job, reply, 'PX', ttl == arg.ttl and ttl or positive(ttl) or arg.ttl)
  end
  if lane then
    local ids = gone[lane]
    if ids then ids[#ids + 1] = entry else gone[lane] = {entry} end
  end
  local word = reply:sub(1, 3) == 'ok ' and 'ok' or reply:match('^%a+') or 'unreadable' -- to match costs more
  if word == 'ok' then
    done = done + 1
  else
    others = others or {}
    others[word] = (others[word] or 0) + 1
  end
  if word == 'cancelled' then redis.call('UNLINK', part_key(job)) end -- nobody wants its items
  if some and some.tombs then redis.call('ZREM', key.cancelled, job) end
  if some and some.progress then redis.call('HDEL', key.progress, job) end
  if some and some.named then redis.call('HDEL', key.named, job) end
  local text = not draft and #reply <= arg.inline + 0 and reply or ''
  tell(client, job, text)
  if some and some.watched then
    for reader in (redis.call('HGET', key.watched, job) or ''):gmatch('%S+') do tell(reader, job, text) end
    redis.call('HDEL', key.watched, job)
  end
end

-- Last step of every script that settles: delete the entries, count, then tell whoever watches, and the clients. A client
-- whose inbox is gone, or was made something else, must not stop its neighbours: it finds its replies by their keys.
local function post()
  for lane, ids in pairs(gone) do redis.call('XDEL', lane, unpack(ids)) end
  -- To make a text of a number costs 2,000 instructions, a third of the command.
  if done > 0 then redis.pcall('HINCRBY', key.stats, 'done', done == 1 and '1' or done) end
  if others then
    for word, count in pairs(others) do redis.pcall('HINCRBY', key.stats, word, count) end
  end
  if tell_events then tell_events() end
  for client, box in pairs(mail) do
    redis.pcall('XADD', arg.inbox .. client, 'NOMKSTREAM', '*', unpack(box))
  end
end
