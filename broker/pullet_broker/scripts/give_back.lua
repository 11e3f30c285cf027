-- give_back: return jobs that were taken but not started, so that another worker has them at once.
-- KEYS     cancelled stats LANES
-- ARGV     consumer reply inbox blob inline ttl ...
--          then for each job: lane entry      (at most 100)
-- RETURNS  how many were issued again
-- USES     entry settle reissue
-- OOM      allow
-- ATOMIC   the job must be in exactly one live entry. A suspect stays one; the others go where they are read first
local sane = can_settle() and (#ARGV - rest + 1) % 2 == 0
for i = rest, sane and #ARGV or 0, 2 do
  sane = sane and key.lane[whole(ARGV[i])] and is_entry_id(ARGV[i + 1])
end
if not sane then
  return redis.error_reply('PULLET give_back: the arguments do not have the expected form')
end
local given = 0
for i = rest, #ARGV, 2 do
  local number, entry = tonumber(ARGV[i]), ARGV[i + 1]
  local lane = key.lane[number]
  local flat = read_entry(lane, entry)
  if flat and redis.call('XACK', lane, 'workers', entry) == 1 then
    if is_cancelled(field(flat, 'id') or '') then
      settle_as('cancelled', lane, entry, flat, arg.consumer)
    else
      reissue(number == 2 and lane or key.lane[1], flat, entry, {})
      redis.call('XDEL', lane, entry)
      given = given + 1
    end
  end
end
if given > 0 then redis.call('HINCRBY', key.stats, 'given_back', given) end
post()
return given
