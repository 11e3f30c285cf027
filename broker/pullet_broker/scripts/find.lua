-- find: where a job is. Reads only, and no more than `most` entries a call: MORE says where to go on.
-- KEYS     parked places progress named LANES
-- ARGV     job reply since lane from most
--          lane: its number, those of the places after the common ones; from: an entry's id there, where to look first;
--          since: the same in the lanes behind it; of a job whose caller chose its id it is known better here
-- RETURNS  {where, ...}
--          REPLY head, the first line of its reply | PARKED attempt progress | MORE lane from | NOWHERE | HIDDEN progress
--          LANE consumer attempt key entry progress: consumer '' while it waits; key: of the stream that holds the
--          entry; progress: how far it was at last, or ''
-- USES     numbers clock entry
-- OOM      allow
-- ATOMIC   a job that moves from lane to lane must not be passed over between two looks
local number, most, from = whole(arg.lane), positive(arg.most), arg.from
local lanes, places = {unpack(key.lane)}, redis.call('SMEMBERS', key.places)
table.sort(places)
for _, place in ipairs(places) do lanes[#lanes + 1] = at_key(place) end
if not (number and number > 0 and most and is_entry_id(from) and is_entry_id(arg.since)) then
  return redis.error_reply('PULLET find: the arguments do not have the expected form')
end
local head = redis.call('GETRANGE', arg.reply .. arg.job, 0, 199):match('^[^\n]+')
if head then return {'REPLY', head} end
local packed = redis.call('HGET', key.parked, arg.job)
local progress = redis.call('HGET', key.progress, arg.job) or ''
if packed then return {'PARKED', field(cmsgpack.unpack(packed), 'attempt') or '1', progress} end

local named = whole(redis.call('HGET', key.named, arg.job) or '')
local since = named and string.format('%d-0', named) or arg.since
if from == arg.since then from = since end
while lanes[number] do
  local lane = lanes[number]
  local found = redis.pcall('XRANGE', lane, from, '+', 'COUNT', most)
  if found.err then return {'HIDDEN', progress} end -- this account may not read the jobs of others
  for _, entry in ipairs(found) do
    if field(entry[2], 'id') == arg.job then
      local pending = redis.pcall('XPENDING', lane, 'workers', entry[1], entry[1], 1)
      return {'LANE', pending[1] and pending[1][2] or '', field(entry[2], 'attempt') or '1', lane, entry[1], progress}
    end
  end
  if #found == most then return {'MORE', tostring(number), found[most][1]} end
  number, most = number + 1, most - #found
  from = since
end
return {'NOWHERE'}
