-- letters: the dead letters, found by their jobs. Needs key.dead, key.buried, arg.blob.
-- The place and the fields of a job's letter; nothing where there is none.
local function find_letter(job)
  local place = redis.call('HGET', key.buried, job)
  if not (place and is_entry_id(place)) then return nil end
  return place, read_entry(key.dead, place)
end

local function drop_letter(place, job)
  redis.call('XDEL', key.dead, place)
  redis.call('HDEL', key.buried, job)
end

-- The large arguments of a letter. Without a TTL they are those of a new job whose caller chose the same id.
local function drop_arguments(job)
  if redis.call('PTTL', arg.blob .. job) >= 0 then redis.call('UNLINK', arg.blob .. job) end
end
