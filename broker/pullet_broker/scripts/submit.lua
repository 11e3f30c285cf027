-- submit: accept a batch of jobs of one client, each exactly once, however often the call is repeated.
-- KEYS     config stats delayed parked client inbox places named watched cancelled LANES
-- ARGV     schema me link first client_ms home_ms backlog blob draft reply inline most ...
--          then for each job: id method args opts lane delay_ms expires_ms ttl_ms large key traits
--          me: the client's id; link: how often it has connected; first: number of the first job;
--          id '': an empty place, counted and skipped; lane: high, normal or low; 0: not given; large: 1 when the
--          arguments are in the draft <me>:<link>:<number>, which becomes the job's blob; key '': none. A job with a
--          key goes to the place where its key lives, if it lives anywhere;
--          traits: i when its caller chose the id, o when it must not be repeated; most: clients that may wait for one job
-- RETURNS  the mark alone, when all is well and the inbox was there: the list costs 6,600 instructions. Else
--          {status, mark, new_inbox, backlog, limit}     OK | GAP | FULL | STALE | SCHEMA
--          GAP: a number between the mark and the first is missing, or the draft of the job after the mark
-- USES     schema numbers backlog
-- SELDOM   clock entry groups reissue join
-- ATOMIC   the mark and the entries it counts must be stored together, or a repeated call doubles or swallows jobs
-- A client's batches may arrive late, twice, or not at all. The mark says which numbers are in; only mark + 1 may
-- follow. A batch that a dead connection delivers late carries an old link and is refused: its numbers may by
-- now have been given to other jobs.
local WIDTH = 11
local count = (#ARGV - rest + 1) / WIDTH
local sane = count >= 0 and count % 1 == 0
-- All numbers in one look: one by one they would cost more than twice as much. With 15 digits they stay exact.
local numbers = sane and arg.link .. ' ' .. arg.first .. ' ' .. arg.backlog .. ' ' .. arg.inline .. ' ' .. arg.client_ms
  .. ' ' .. arg.home_ms .. ' ' .. arg.most
sane = sane and numbers:find('^%d+ %d+ %d+ %d+ [1-9]%d* [1-9]%d* [1-9]%d*$')
sane = sane and #arg.link <= 15 and #arg.first <= 15 and #arg.backlog <= 15 and #arg.inline <= 15
if not (sane and #arg.client_ms <= 15 and #arg.home_ms <= 15 and #arg.most <= 15) then
  return redis.error_reply('PULLET submit: the arguments do not have the expected form')
end
local first, link = arg.first + 0, arg.link + 0
local function draft_of(number) return string.format('%s%s:%d:%d', arg.draft, arg.me, link, number) end
local drafts, renamed
for i = rest, #ARGV, WIDTH do
  for time = i + 5, i + 7 do
    if ARGV[time] ~= '0' and not whole(ARGV[time]) then
      return redis.error_reply('PULLET submit: a time is not a whole number')
    end
  end
  if ARGV[i + 8] == '1' then
    drafts, renamed = drafts or {}, 0
    drafts[#drafts + 1] = draft_of(first + (i - rest) / WIDTH)
  end
end
local config = redis.call('HMGET', key.config, 'schema', 'backlog', 'keyed')
if not same_schema(config[1]) then return {'SCHEMA', 0, 0, 0, 0} end

local mark, known_link = 0, 0
local state = redis.call('GET', key.client)
if state then
  local m, l = state:match('^(%d+) (%d+)$')
  if m then mark, known_link = m + 0, l + 0 end
end
if link < known_link then return {'STALE', mark, 0, 0, 0} end

-- What few calls need. Its functions are made only by those: each costs 400 to 700 instructions, and these are a dozen.
local keyed = config[3]
local function seldom()
-- SELDOM
  local function accept(i, number)
    local id, method, args, opts, lane, delay, expires, ttl, large, name, traits = unpack(ARGV, i, i + WIDTH - 1)
    delay, expires, ttl, large = tonumber(delay), tonumber(expires), tonumber(ttl), large == '1'
    if large then
      if redis.pcall('PERSIST', draft_of(number)) ~= 1 then return 'MISSING' end
      redis.call('RENAME', draft_of(number), arg.blob .. id)
      renamed = renamed + 1
    end
    local flat = {'id', id, 'method', method, 'args', args, 'client', arg.me, 'opts', opts}
    local function add(name, value) flat[#flat + 1] = name; flat[#flat + 1] = value end
    if lane ~= 'normal' then add('lane', lane) end
    if large then add('blob', '1') end
    if traits:find('o', 1, true) then add('once', '1') end
    if traits:find('i', 1, true) then add('named', '1') end
    if ttl > 0 then add('ttl', string.format('%d', ttl)) end
    if expires > 0 then add('expires', string.format('%d', now() + expires)) end
    if name ~= '' then
      add('key', name)
      redis.call('PEXPIRE', home_key(name), arg.home_ms)
      if not keyed then redis.call('HSET', key.config, 'keyed', 1); keyed = true end
    end
    local entry
    if delay > 0 then
      redis.call('HSET', key.parked, id, cmsgpack.pack(flat))
      redis.call('ZADD', key.delayed, now() + delay, id)
    else
      entry = redis.call('XADD', home(flat), '*', unpack(flat))
    end
    if traits:find('i', 1, true) then
      redis.call('HSET', key.named, id, entry and entry:match('^%d+') or now()) -- TIME may be later than the entry's id
      redis.call('ZADD', key.cancelled, 'XX', 0, id) -- who has cancelled this id meant an earlier job, which had ended
    end
  end

  -- The job with this id is there already: it is not run again, and its outcome is told to this client too. One for whom
  -- there is no place finds it when nothing has come for a while.
  local function is_there(id)
    if redis.call('EXISTS', arg.reply .. id) == 0 and redis.call('HEXISTS', key.named, id) == 0 then return false end
    join(id, key.inbox, arg.client_ms, tonumber(arg.most))
    return true
  end
  return {make_groups = make_groups, accept = accept, is_there = is_there}
end
local special
if not state then
  special = seldom()
  special.make_groups()
end

local new_inbox = redis.call('PEXPIRE', key.inbox, arg.client_ms) == 0
if new_inbox then
  redis.call('XADD', key.inbox, '*', ':open', arg.me)
  redis.call('PEXPIRE', key.inbox, arg.client_ms)
end
local status, failure, accepted, backlog, limit = 'OK', nil, 0, 0, 0
if count > 0 and first > mark + 1 then
  status = 'GAP'
elseif count > 0 then
  backlog, limit = count_backlog(config)
end
for i = rest, status == 'OK' and #ARGV or 0, WIDTH do
  local id, method, args, opts, lane, delay, expires, ttl, large, name, traits = unpack(ARGV, i, i + WIDTH - 1)
  local number = first + (i - rest) / WIDTH
  local plain = traits == '' and lane == 'normal' and name == '' and large ~= '1'
  plain = plain and delay == '0' and expires == '0' and ttl == '0'
  if not plain then special = special or seldom() end
  if number > mark then
    if id ~= '' and not (traits ~= '' and traits:find('i', 1, true) and special.is_there(id)) then
      if backlog >= limit then
        status = 'FULL'
        break
      end
      if plain then -- as most are
        local normal = key.lane[4]
        failure = redis.pcall('XADD', normal, '*', 'id', id, 'method', method, 'args', args, 'client', arg.me, 'opts', opts).err
      else
        local stored, problem = pcall(special.accept, i, number)
        if stored and problem == 'MISSING' then
          status = 'GAP'
          break
        end
        failure = not stored and (type(problem) == 'table' and problem.err or tostring(problem))
      end
      if failure then break end -- scripts are not rolled back: what is in must be counted, or the repeat doubles it
      backlog, accepted = backlog + 1, accepted + 1
    end
    mark = number
  end
end
-- To make a text of a number costs as much as to look for a key. By itself Lua would round one of 15 digits.
local reached = mark == first and arg.first or string.format('%d', mark)
redis.call('SET', key.client, reached .. ' ' .. arg.link, 'PX', arg.client_ms)
if drafts and #drafts > renamed then redis.pcall('UNLINK', unpack(drafts)) end -- what is left has no use
if accepted > 0 then redis.pcall('HINCRBY', key.stats, 'submitted', accepted == 1 and '1' or accepted) end
if failure then return redis.error_reply(failure) end
if status == 'OK' and not new_inbox then return mark end
return {status, mark, new_inbox and 1 or 0, backlog, limit}
