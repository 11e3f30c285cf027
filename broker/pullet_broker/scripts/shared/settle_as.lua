-- settle_as: settle a job that is read from its fields. Needs settle, entry, events, arg.blob.
-- A word is the whole outcome: cancelled, expired, crashed, lost.
local function is_cancelled(job)
  local asked = some and some.tombs and redis.call('ZSCORE', key.cancelled, job)
  return asked and asked ~= '0' -- 0: that was an earlier job with this id
end

local told = {}
local function settle_as(word, lane, entry, flat, consumer, run_ms)
  local job = field(flat, 'id') or ''
  local head = word .. ' ' .. (whole(field(flat, 'attempt')) or 1) .. ' ' .. consumer .. ' 0\n'
  settle(lane, entry, job, field(flat, 'client'), field(flat, 'ttl'), head)
  if word ~= 'crashed' and word ~= 'lost' and field(flat, 'blob') then redis.call('UNLINK', arg.blob .. job) end
  told[#told + 1] = line_of(flat, entry, word, consumer, run_ms or 0)
  tell_events = function()
    if is_watched() then publish(consumer, 'ended', table.concat(told, '\n')) end
  end
end
