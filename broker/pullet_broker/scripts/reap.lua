-- reap: issue again what a dead consumer had taken, and forbid it to take more.
-- KEYS     config workers beats cancelled watched progress named stats events dead buried storm places LANES
-- ARGV     consumer blame max_crashes most dead_letters dead_ms reply inbox blob inline ttl
--          blame: 1 when the worker died by itself (its jobs are suspects), 0 when its node left or it was stopped
-- RETURNS  {issued again, dead-lettered, more to do: 0 or 1}
-- USES     numbers clock entry events settle settle_as reissue history letters bury storm place
-- OOM      allow
-- ATOMIC   between the old entry's end and the new one's start there is no moment in which the job is in neither
-- A job that must not be repeated may have begun, so it ends here, as `lost`.
local most, max_crashes, blame = positive(arg.most), positive(arg.max_crashes), arg.blame == '1'
if not (most and max_crashes and can_settle() and can_bury()) then
  return redis.error_reply('PULLET reap: the arguments do not have the expected form')
end
redis.call('HDEL', key.workers, arg.consumer)
redis.call('HSETNX', key.beats, arg.consumer, '-') -- ticks see it until it is forgotten: its reaper may die before

local issued, buried, left, poisoned, again = 0, 0, most, false, {}
local function recover(lane, entry, flat, held_ms)
  local was_suspect = lane == key.lane[2]
  local crashes = (whole(field(flat, 'crashes')) or 0) + (blame and 1 or 0)
  poisoned = poisoned or (blame and was_suspect)
  if is_cancelled(field(flat, 'id') or '') then
    settle_as('cancelled', lane, entry, flat, arg.consumer, held_ms)
    return
  end
  local errors, once = remembered(flat, arg.consumer, blame and 'crashed' or 'lost'), field(flat, 'once')
  if once or crashes >= max_crashes then
    local word = once and 'lost' or 'crashed'
    local head = word .. ' ' .. (once and (whole(field(flat, 'attempt')) or 1) or crashes) .. ' ' .. arg.consumer .. ' 0\n'
    bury(flat, entry, arg.consumer, head, errors)
    settle_as(word, lane, entry, flat, arg.consumer, held_ms)
    buried = buried + 1
    return
  end
  local changes = {attempt = (whole(field(flat, 'attempt')) or 1) + 1, crashes = crashes, errors = errors}
  reissue(key.lane[(blame or was_suspect) and 2 or 1], flat, entry, changes)
  redis.call('XDEL', lane, entry)
  again[#again + 1] = line_of(flat, entry, blame and 'crashed' or 'lost', arg.consumer, held_ms)
  issued = issued + 1
end

for _, lane in ipairs(all_lanes()) do
  local pending = left > 0 and redis.pcall('XPENDING', lane, 'workers', '-', '+', left, arg.consumer) or {}
  if pending.err then pending = {} end
  for _, row in ipairs(pending) do
    local flat = read_entry(lane, row[1])
    if redis.call('XACK', lane, 'workers', row[1]) == 1 and flat then recover(lane, row[1], flat, row[3]) end
    left = left - 1
  end
end
if poisoned then blow() end
if #again > 0 and is_watched() then publish(arg.consumer, 'again', table.concat(again, '\n')) end
if issued > 0 then redis.call('HINCRBY', key.stats, 'recovered', issued) end
post()
return {issued, buried, left > 0 and 0 or 1}
