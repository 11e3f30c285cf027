-- cycle: commit what a worker has finished and take what it runs next.
-- KEYS     config workers cancelled watched progress named stats events storm LANES
-- ARGV     schema consumer home_ms reply draft inbox blob inline ttl want alone yields high_first events ...
--          then for each outcome: lane entry id client ttl_ms traits reply
--          want: jobs to take, 0 for none; alone: 1 when the worker will hold nothing else;
--          yields: 1 to take nothing while a suspect waits;
--          events: a line for each outcome while somebody watches, else '';
--          lane: 1 to 5, or 6 for that of the worker's place; ttl_ms 0: the default;
--          traits: b when the arguments are in a blob, d when the whole reply is in the draft
--          <consumer>:<lane>:<entry>, and reply is only its first line
-- RETURNS  {status, fenced, entries, dropped, calm, missing}      OK | STRANGER | PAUSED | YIELD | NOGROUP | SCHEMA
--          fenced: places (from 1) of outcomes that did not count;
--          entries: for each `lane entry id method args client opts`, the values of a plain job, which has no other
--          fields, or `lane entry {fields}`: a list and five names each would be a tenth of what this script costs;
--          dropped: jobs settled here as cancelled or expired, or sent to where their key lives: there may be more;
--          calm: 0 in a storm, when suspects are taken by nobody but this script;
--          missing: places of outcomes whose draft is not there: they are as they were
-- USES     schema entry events settle reissue settle_in storm
-- OOM      allow
-- ATOMIC   XACK = 1 is the fence: whoever gets it, and nobody else, writes the reply and deletes the entry
local WIDTH = 7
local want = whole(arg.want)
if not (want and positive(arg.home_ms) and can_settle()) or (#ARGV - rest + 1) % WIDTH ~= 0 then
  return redis.error_reply('PULLET cycle: the arguments do not have the expected form')
end
local at = key.lane -- by their numbers as they come: to look up a text costs less than to make a number of it
local lanes = {['1'] = at[1], ['2'] = at[2], ['3'] = at[3], ['4'] = at[4], ['5'] = at[5], ['6'] = at[6]}
for i = rest, #ARGV, WIDTH do
  if not (lanes[ARGV[i]] and (ARGV[i + 4] == '0' or whole(ARGV[i + 4]))) then
    return redis.error_reply('PULLET cycle: an outcome does not have the expected form')
  end
end
if not same_schema() then return {'SCHEMA', {}, {}, 0, 1, {}} end

local fenced, missing, uncounted = {}, {}, {}
local function commit(i)
  local lane, traits = lanes[ARGV[i]], ARGV[i + 5]
  local ttl = ARGV[i + 4] ~= '0' and positive(ARGV[i + 4]) and ARGV[i + 4] or arg.ttl
  local draft = traits ~= '' and traits:find('d', 1, true) and arg.draft .. arg.consumer .. ':' .. ARGV[i] .. ':' .. ARGV[i + 1]
  if draft and redis.pcall('PEXPIRE', draft, ttl) ~= 1 then return missing end
  -- What is no entry's id is refused here: to look at each beforehand would cost as much as the XACK itself.
  if redis.pcall('XACK', lane, 'workers', ARGV[i + 1]) ~= 1 then
    if draft then redis.call('UNLINK', draft) end
    return fenced
  end
  settle(lane, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ttl, ARGV[i + 6], draft)
  if traits ~= '' and traits:find('b', 1, true) then redis.call('UNLINK', arg.blob .. ARGV[i + 2]) end
end
for i = rest, #ARGV, WIDTH do
  local place, bad = (i - rest) / WIDTH + 1, commit(i)
  if bad then
    bad[#bad + 1] = place
    uncounted[#uncounted + 1] = place
  end
end
if arg.events ~= '' then publish(arg.consumer, 'ended', arg.events, uncounted) end

local calm, may_take_suspect = true, true
local function leave(status, entries, dropped)
  post()
  return {status, fenced, entries or {}, dropped or 0, calm and 1 or 0, missing}
end
if want == 0 then return leave('OK') end
if redis.call('HEXISTS', key.workers, arg.consumer) == 0 then return leave('STRANGER') end
local config = redis.call('HMGET', key.config, 'paused', 'keyed')
if config[1] then return leave('PAUSED') end

local entries, taken, dropped, lost_group = {}, 0, 0, false
local function hand_out(number, entry, flat)
  local n = #entries
  taken = taken + 1
  entries[n + 1], entries[n + 2] = number, entry
  if is_plain(flat) then
    entries[n + 3], entries[n + 4], entries[n + 5], entries[n + 6], entries[n + 7] = flat[2], flat[4], flat[6], flat[8], flat[10]
  else
    entries[n + 3] = flat
  end
end
local function take(number, most)
  local lane = key.lane[number]
  -- Most lanes are empty, and a read of nothing costs ten times as much. That of the normal one tells of lost groups.
  if number ~= 4 and redis.call('XLEN', lane) == 0 then return end
  local found = redis.pcall('XREADGROUP', 'GROUP', 'workers', arg.consumer, 'COUNT', most, 'STREAMS', lane, '>')
  if not found then return end
  if found.err then lost_group = true; return end
  for _, entry in ipairs(found[1][2]) do
    local flat = entry[2]
    local word = (tombs and is_cancelled(field(flat, 'id') or '') and 'cancelled') or (expired(flat) and 'expired')
    local away = not word and number ~= 2 and number ~= 6 and elsewhere(flat)
    if word or away then
      redis.call('XACK', lane, 'workers', entry[1])
      dropped = dropped + 1
    end
    if word then
      settle_as(word, lane, entry[1], flat, arg.consumer)
    elseif away then
      reissue(away, flat, entry[1], {})
      redis.call('XDEL', lane, entry[1])
    else
      hand_out(number, entry[1], flat)
    end
  end
end

calm, may_take_suspect = weather()
if arg.alone == '1' then
  if may_take_suspect then take(2, 1) end
  if taken > 0 then return leave('OK', entries, dropped) end
elseif arg.yields == '1' and may_take_suspect and redis.call('XLEN', key.lane[2]) > 0 then
  -- If a suspect waits for a worker that holds nothing, this one takes nothing, so that it soon holds nothing.
  local summary = redis.pcall('XPENDING', key.lane[2], 'workers')
  if not summary.err and redis.call('XLEN', key.lane[2]) > summary[1] then return leave('YIELD') end
end
-- The jobs of a place come before normal ones, which anybody may take, but every fourth time after them: neither
-- starves.
for _, number in ipairs(arg.high_first == '1' and {3, 1, 4, 6, 5} or {1, 3, 6, 4, 5}) do
  local empty = number == 6 and not (key.lane[6] and config[2]) -- most queues have never seen a key
  if taken < want and not empty then take(number, want - taken) end
end
return leave(lost_group and 'NOGROUP' or 'OK', entries, dropped)
