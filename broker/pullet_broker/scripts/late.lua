-- late: which of these jobs has nobody taken, though their time is over? Reads only.
-- KEYS     places LANES
-- ARGV     reply most ...
--          then the jobs (at most 1000); most: entries in workers' hands that are looked through on one lane
-- RETURNS  places (from 1) of those that have no reply and are in no worker's hand
--          none where more is in hands than is looked through, or this account may not look into them: then nobody
--          can say
-- USES     numbers clock entry place
-- OOM      allow
-- ATOMIC   a job that is being taken, or given back, must not be passed over between two looks
-- What workers hold is little beside what may wait, so that is where to look.
local most = positive(arg.most)
if not most then
  return redis.error_reply('PULLET late: the arguments do not have the expected form')
end
local held = {}
for _, lane in ipairs(all_lanes()) do
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', most)
  if pending.err then pending = {} end
  if #pending == most then return {} end
  for _, row in ipairs(pending) do
    local found = redis.pcall('XRANGE', lane, row[1], row[1])
    if found.err then return {} end
    if found[1] then held[field(found[1][2], 'id') or ''] = true end
  end
end
local found = {}
for i = rest, #ARGV do
  if not held[ARGV[i]] and redis.call('EXISTS', arg.reply .. ARGV[i]) == 0 then found[#found + 1] = i - rest + 1 end
end
return found
