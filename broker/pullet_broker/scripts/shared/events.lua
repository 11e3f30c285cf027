-- events: how attempts end, for whoever watches: one entry of the stream for all of a call, none while nobody watches.
-- Needs key.config, key.events. The form of an entry and of its lines is in pullet_broker/events.py.
local MOST, BYTES, KEEP_MS = 10000, 16777216, 3600000

-- Whoever watches writes until when, in ms of Redis time, and writes again before that.
local function is_watched()
  return (whole(redis.call('HGET', key.config, 'watched') or '') or 0) > now()
end

-- Names come from outside: they must end neither their line nor their place in it.
local function plain(text) return ((text or ''):sub(1, 200):gsub('[%s%c]', '?')) end

-- A line for an attempt that the worker itself cannot tell of.
local function line_of(flat, entry, word, consumer, run_ms)
  local head = word .. ' ' .. (whole(field(flat, 'attempt')) or 1) .. ' ' .. consumer
  return string.format('1 %s %.0f %.0f 1 %s %s %s %s', head, run_ms * 1000, now() * 1000, entry or '-',
    plain(field(flat, 'id')), plain(field(flat, 'client')), plain(field(flat, 'method')))
end

-- `what`: ended, or again for an attempt whose job goes on. Long entries are kept for less time, so that the stream
-- stays below some 16 MiB. It may have been made something else: that must not stop a job from ending.
local function publish(consumer, what, lines, fenced)
  local most = math.max(500, math.min(MOST, math.floor(BYTES / math.max(1, #lines))))
  local late = fenced and #fenced > 0 and {'fenced', table.concat(fenced, ' ')} or {}
  redis.pcall('XADD', key.events, 'MAXLEN', '~', most, '*', 'by', consumer, what, lines, unpack(late))
  redis.pcall('PEXPIRE', key.events, KEEP_MS)
end
