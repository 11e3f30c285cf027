-- part: store items of a generator that runs, each index once, and hand them to the client.
-- KEYS     cancelled part inbox LANES
-- ARGV     consumer lane entry job attempt first inline ttl ...
--          then the items (at most 256), numbered from first, which counts from 0
-- RETURNS  OK | FENCED | CANCELLED      not OK: nothing was stored, and the generator is to be closed
-- USES     numbers clock entry
-- ATOMIC   only whoever holds the entry may add items, and an index is stored once: a generator that is run again
--          after its worker died repeats what it had yielded, and its reader must not see that
-- Refused on a full server, unlike the end of a job: items are new data, as jobs are.
local lane, first, inline = key.lane[whole(arg.lane)], whole(arg.first), whole(arg.inline)
if not (lane and first and inline and whole(arg.attempt) and is_entry_id(arg.entry) and positive(arg.ttl)) then
  return redis.error_reply('PULLET part: the arguments do not have the expected form')
end
local pending = redis.pcall('XPENDING', lane, 'workers', arg.entry, arg.entry, 1, arg.consumer)
if pending.err or #pending == 0 then return 'FENCED' end
local asked = redis.call('ZSCORE', key.cancelled, arg.job)
if asked and asked ~= '0' then -- see settle
  redis.call('UNLINK', key.part)
  return 'CANCELLED'
end

-- The item with index n has the id 0-<n+1>, so that a reader finds it by its index.
local last = redis.call('XREVRANGE', key.part, '+', '-', 'COUNT', 1)[1]
local known = last and whole(last[1]:match('^0%-(%d+)$')) or 0
local mail = {}
for i = rest, #ARGV do
  local index = first + i - rest
  if index >= known then
    local id, number = string.format('0-%d', index + 1), string.format('%d', index)
    redis.call('XADD', key.part, id, 'attempt', arg.attempt, 'index', number, 'value', ARGV[i])
    mail[#mail + 1] = arg.job .. ':' .. number
    mail[#mail + 1] = #ARGV[i] <= inline and ARGV[i] or ''
  end
end
redis.call('PEXPIRE', key.part, arg.ttl)
if #mail > 0 then redis.pcall('XADD', key.inbox, 'NOMKSTREAM', '*', unpack(mail)) end
return 'OK'
