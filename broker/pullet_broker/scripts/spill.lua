-- spill: give the jobs that wait too long at a place to all workers, and all its jobs when nobody works there any more.
-- KEYS     config workers places cancelled watched progress named stats events LANES
-- ARGV     consumer place spill_ms most reply inbox blob inline ttl
-- RETURNS  how many it took from the place: `most` when there may be more
-- USES     numbers clock entry events settle settle_as reissue place
-- OOM      allow
-- ATOMIC   an entry that nobody has taken is never deleted: a helper takes it, and ends as a consumer in the same step
-- The jobs go to the lane of their priority, behind what waits there: a key may cost spill_ms, but never gains a turn.
local most, spill_ms = positive(arg.most), whole(arg.spill_ms)
if not (most and spill_ms and arg.place ~= '' and can_settle()) then
  return redis.error_reply('PULLET spill: the arguments do not have the expected form')
end
local HELPER = 'spill'
local lane = at_key(arg.place)
redis.pcall('XGROUP', 'CREATE', lane, 'workers', '0') -- it is there, unless somebody removed it by hand
local latest = is_inhabited(lane) and string.format('%d', now() - spill_ms) or '+'
local count, spilled = #waiting(lane, latest, most), 0
if count > 0 then
  local found = redis.call('XREADGROUP', 'GROUP', 'workers', HELPER, 'COUNT', count, 'NOACK', 'STREAMS', lane, '>')
  for _, entry in ipairs(found[1][2]) do
    local flat = entry[2]
    local word = (is_cancelled(field(flat, 'id') or '') and 'cancelled') or (expired(flat) and 'expired')
    if word then
      settle_as(word, lane, entry[1], flat, arg.consumer)
    else
      reissue(common_lane(flat), flat, entry[1], {spilled = 1})
      redis.call('XDEL', lane, entry[1])
      spilled = spilled + 1
    end
  end
  redis.call('XGROUP', 'DELCONSUMER', lane, 'workers', HELPER)
end
if spilled > 0 then redis.call('HINCRBY', key.stats, 'spilled', spilled) end
post()
close_place(arg.place)
return count
