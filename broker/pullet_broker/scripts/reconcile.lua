-- reconcile: compare what is pending for a worker with what it holds.
-- KEYS     LANES
-- ARGV     consumer most ...
--          then the entries that the worker holds: lane entry
-- RETURNS  {adopted, lost}      adopted: {lane, entry, fields} pending but not held; lost: places (from 1) held but not pending
-- USES     numbers clock entry
-- OOM      allow
-- ATOMIC   the two lists must be of one moment. A reply that got lost left entries that nobody would ever run
local most = positive(arg.most)
if not most or (#ARGV - rest + 1) % 2 ~= 0 then
  return redis.error_reply('PULLET reconcile: the arguments do not have the expected form')
end
local place = {}
for i = rest, #ARGV, 2 do place[ARGV[i] .. ' ' .. ARGV[i + 1]] = (i - rest) / 2 + 1 end
local adopted, seen = {}, {}
for number, lane in ipairs(key.lane) do
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', most, arg.consumer)
  if pending.err then pending = {} end
  for _, row in ipairs(pending) do
    local held = place[number .. ' ' .. row[1]]
    if held then
      seen[held] = true
    else
      local flat = read_entry(lane, row[1])
      if flat then adopted[#adopted + 1] = {number, row[1], flat} else redis.call('XACK', lane, 'workers', row[1]) end
    end
  end
end
local lost = {}
for i = 1, (#ARGV - rest + 1) / 2 do
  if not seen[i] then lost[#lost + 1] = i end
end
return {adopted, lost}
