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
-- RETURNS  OK alone, when there is nothing else to say: the list costs 17,000 instructions. Else
--          {status, fenced, entries, dropped, calm, missing}      OK | STRANGER | PAUSED | YIELD | NOGROUP | SCHEMA
--          fenced: places (from 1) of outcomes that did not count;
--          entries: for each `lane entry id method args client opts`, the values of a plain job, which has no other
--          fields, or `lane entry {fields}`: a list and five names each would be a tenth of what this script costs;
--          dropped: jobs settled here as cancelled or expired, or sent to where their key lives: there may be more;
--          calm: 0 in a storm, when suspects are taken by nobody but this script;
--          missing: places of outcomes whose draft is not there: they are as they were
-- USES     schema numbers settle
-- SELDOM   clock entry events settle_as reissue settle_in storm
-- OOM      allow
-- ATOMIC   XACK = 1 is the fence: whoever gets it, and nobody else, writes the reply and deletes the entry
local WIDTH = 7
local sane = #ARGV >= rest - 1 and (#ARGV - rest + 1) % WIDTH == 0
-- All numbers in one look: one by one they would cost more than twice as much. With 15 digits they stay exact.
local numbers = sane and arg.want .. ' ' .. arg.inline .. ' ' .. arg.home_ms .. ' ' .. arg.ttl
sane = sane and numbers:find('^%d+ %d+ [1-9]%d* [1-9]%d*$')
if not (sane and #arg.want <= 15 and #arg.inline <= 15 and #arg.home_ms <= 15 and #arg.ttl <= 15) then
  return redis.error_reply('PULLET cycle: the arguments do not have the expected form')
end
local function lane_of(number)
  return number == '4' and key.lane[4] or number == '1' and key.lane[1] or number == '2' and key.lane[2]
    or number == '3' and key.lane[3] or number == '5' and key.lane[5] or number == '6' and key.lane[6]
end
for i = rest, #ARGV, WIDTH do
  if not (lane_of(ARGV[i]) and (ARGV[i + 4] == '0' or whole(ARGV[i + 4]))) then
    return redis.error_reply('PULLET cycle: an outcome does not have the expected form')
  end
end
if not same_schema(redis.call('HGET', key.config, 'schema')) then return {'SCHEMA', {}, {}, 0, 1, {}} end

-- What few calls need. Its functions are made only by those: each costs 400 to 700 instructions, and these are twenty.
local function seldom()
-- SELDOM
  -- Does this worker run it? Else it is settled, or sent to where its key lives.
  local function is_ours(number, lane, entry, flat)
    local word = (is_cancelled(field(flat, 'id') or '') and 'cancelled') or (expired(flat) and 'expired')
    local away = not word and number ~= 2 and number ~= 6 and elsewhere(flat)
    if not (word or away) then return true end
    redis.call('XACK', lane, 'workers', entry)
    if word then
      settle_as(word, lane, entry, flat, arg.consumer)
    else
      reissue(away, flat, entry, {})
      redis.call('XDEL', lane, entry)
    end
    return false
  end
  return {is_ours = is_ours, publish = publish, weather = weather}
end
local special

local refused -- places of outcomes, where there are any: all, and by what was wrong
for i = rest, #ARGV, WIDTH do
  local lane, entry, job, client, ttl, traits, reply = lane_of(ARGV[i]), unpack(ARGV, i + 1, i + WIDTH - 1)
  local draft, bad = traits ~= '' and traits:find('d', 1, true), nil
  if draft then draft = arg.draft .. arg.consumer .. ':' .. ARGV[i] .. ':' .. entry end
  ttl = ttl ~= '0' and positive(ttl) and ttl or arg.ttl
  if draft and redis.pcall('PEXPIRE', draft, ttl) ~= 1 then
    bad = 'missing'
  -- What is no entry's id is refused here: to look at each beforehand would cost as much as the XACK itself.
  elseif redis.pcall('XACK', lane, 'workers', entry) ~= 1 then
    if draft then redis.call('UNLINK', draft) end
    bad = 'fenced'
  else
    settle(lane, entry, job, client, ttl, reply, draft)
    if traits ~= '' and traits:find('b', 1, true) then redis.call('UNLINK', arg.blob .. job) end
  end
  if bad then
    refused = refused or {all = {}, fenced = {}, missing = {}}
    local place = (i - rest) / WIDTH + 1
    table.insert(refused.all, place)
    table.insert(refused[bad], place)
  end
end
if arg.events ~= '' then
  special = seldom()
  special.publish(arg.consumer, 'ended', arg.events, refused and refused.all)
end

local status, calm, order = 'OK', true, {}
if arg.want ~= '0' then
  local may_take_suspect = true
  if redis.call('HEXISTS', key.workers, arg.consumer) == 0 then
    status = 'STRANGER'
  elseif redis.call('HGET', key.config, 'paused') then
    status = 'PAUSED'
  else
    if redis.call('GET', key.storm) then
      special = special or seldom()
      calm, may_take_suspect = special.weather()
    end
    local suspect, here = may_take_suspect and arg.alone == '1' and key.lane[2], key.lane[6] or false
    -- The jobs of a place come before normal ones, which anybody may take, but every fourth time after them: neither
    -- starves.
    if arg.high_first == '1' then
      order = {2, suspect, 3, key.lane[3], 1, key.lane[1], 4, key.lane[4], 6, here, 5, key.lane[5]}
    else
      order = {2, suspect, 1, key.lane[1], 3, key.lane[3], 6, here, 4, key.lane[4], 5, key.lane[5]}
    end
    if may_take_suspect and not suspect and arg.yields == '1' and redis.call('XLEN', key.lane[2]) > 0 then
      -- If a suspect waits for a worker that holds nothing, this one takes nothing, so that it soon holds nothing.
      local summary = redis.pcall('XPENDING', key.lane[2], 'workers')
      if not summary.err and redis.call('XLEN', key.lane[2]) > summary[1] then status, order = 'YIELD', {} end
    end
  end
end

local entries, taken, dropped, want = {}, 0, 0, arg.want + 0
for place = 1, #order, 2 do
  local number, lane, found = order[place], order[place + 1], nil
  -- Most lanes are empty, and a read of nothing costs twice as much. That of the normal one tells of lost groups.
  if lane and taken < want and (number == 4 or redis.call('XLEN', lane) > 0) then
    local most = number == 2 and '1' or taken == 0 and arg.want or want - taken
    found = redis.pcall('XREADGROUP', 'GROUP', 'workers', arg.consumer, 'COUNT', most, 'STREAMS', lane, '>')
  end
  if found and found.err then
    status = 'NOGROUP'
  elseif found then
    for _, entry in ipairs(found[1][2]) do
      local flat, n = entry[2], #entries
      local ours = #flat == 10 and not some -- as most are
      if not ours then
        special = special or seldom()
        ours = special.is_ours(number, lane, entry[1], flat)
      end
      if not ours then
        dropped = dropped + 1
      elseif #flat == 10 and flat[1] == 'id' and flat[3] == 'method' and flat[5] == 'args' and flat[7] == 'client'
        and flat[9] == 'opts' then
        taken = taken + 1
        entries[n + 1], entries[n + 2], entries[n + 3], entries[n + 4] = number, entry[1], flat[2], flat[4]
        entries[n + 5], entries[n + 6], entries[n + 7] = flat[6], flat[8], flat[10]
      else
        taken = taken + 1
        entries[n + 1], entries[n + 2], entries[n + 3] = number, entry[1], flat
      end
    end
  end
  if number == 2 and taken > 0 then break end -- it runs alone
end
post()
if status == 'OK' and calm and taken == 0 and dropped == 0 and not refused then return status end
return {status, refused and refused.fenced or {}, entries, dropped, calm and 1 or 0, refused and refused.missing or {}}
