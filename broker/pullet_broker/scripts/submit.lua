-- submit: accept a batch of jobs of one client, each exactly once, however often the call is repeated.
-- KEYS     config stats delayed parked client inbox places named watched cancelled LANES
-- ARGV     schema me link first count client_ms home_ms backlog blob draft reply inline most ...
--          then for each job: id method args opts lane delay_ms expires_ms ttl_ms large key traits
--          me: the client's id; link: how often it has connected; first: number of the first job;
--          id '': an empty place, counted and skipped; lane: high, normal or low; 0: not given; large: 1 when the
--          arguments are in the draft <me>:<link>:<number>, which becomes the job's blob; key '': none. A job with a
--          key goes to the place where its key lives, if it lives anywhere;
--          traits: i when its caller chose the id, o when it must not be repeated; most: clients that may wait for one job
-- RETURNS  {status, mark, new_inbox, backlog, limit}     OK | GAP | FULL | STALE | SCHEMA
--          GAP: a number between the mark and the first is missing, or the draft of the job after the mark
-- USES     schema groups entry reissue backlog join
-- ATOMIC   the mark and the entries it counts must be stored together, or a repeated call doubles or swallows jobs
-- A client's batches may arrive late, twice, or not at all. The mark says which numbers are in; only mark + 1 may
-- follow. A batch that a dead connection delivers late carries an old link and is refused: its numbers may by
-- now have been given to other jobs.
local WIDTH = 11
local first, count, link = whole(arg.first), whole(arg.count), whole(arg.link)
local sane = first and count and link and positive(arg.client_ms) and positive(arg.home_ms) and whole(arg.backlog)
sane = sane and whole(arg.inline) and positive(arg.most)
if not sane or #ARGV ~= rest - 1 + count * WIDTH then
  return redis.error_reply('PULLET submit: the arguments do not have the expected form')
end
local function draft_of(number) return string.format('%s%s:%d:%d', arg.draft, arg.me, link, number) end
local drafts = {}
for i = rest, #ARGV, WIDTH do
  for time = i + 5, i + 7 do
    if ARGV[time] ~= '0' and not whole(ARGV[time]) then
      return redis.error_reply('PULLET submit: a time is not a whole number')
    end
  end
  if ARGV[i + 8] == '1' then drafts[#drafts + 1] = draft_of(first + (i - rest) / WIDTH) end
end
if not same_schema() then return {'SCHEMA', 0, 0, 0, 0} end

local mark, known_link = 0, 0
local state = redis.call('GET', key.client)
if state then
  local m, l = state:match('^(%d+) (%d+)$')
  mark, known_link = tonumber(m) or 0, tonumber(l) or 0
end
if link < known_link then return {'STALE', mark, 0, 0, 0} end
if not state then make_groups() end

local new_inbox = 0
if redis.call('PEXPIRE', key.inbox, arg.client_ms) == 0 then
  new_inbox = 1
  redis.call('XADD', key.inbox, '*', ':open', arg.me)
  redis.call('PEXPIRE', key.inbox, arg.client_ms)
end
local accepted, renamed = 0, 0
local function leave(status, backlog, limit)
  redis.call('SET', key.client, mark .. ' ' .. link, 'PX', arg.client_ms)
  if #drafts > renamed then redis.pcall('UNLINK', unpack(drafts)) end -- what is left has no use
  if accepted > 0 then redis.pcall('HINCRBY', key.stats, 'submitted', accepted) end
  return {status, mark, new_inbox, backlog or 0, limit or 0}
end
if count == 0 then return leave('OK') end
if first > mark + 1 then return leave('GAP') end

local backlog, limit, keyed = count_backlog()

local function accept(i, number)
  local id, method, args, opts, lane, delay, expires, ttl, large, name, traits = unpack(ARGV, i, i + WIDTH - 1)
  local timeless = delay == '0' and expires == '0' and ttl == '0'
  if timeless and lane == 'normal' and large ~= '1' and name == '' and traits == '' then -- as most are
    redis.call('XADD', key.lane[4], '*', 'id', id, 'method', method, 'args', args, 'client', arg.me, 'opts', opts)
    return
  end
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
local function is_there(i)
  local id = ARGV[i]
  if ARGV[i + 10] == '' or not ARGV[i + 10]:find('i', 1, true) then return false end
  if redis.call('EXISTS', arg.reply .. id) == 0 and redis.call('HEXISTS', key.named, id) == 0 then return false end
  join(id, key.inbox, arg.client_ms, tonumber(arg.most))
  return true
end

for n = 0, count - 1 do
  local number, i = first + n, rest + n * WIDTH
  if number > mark then
    if ARGV[i] ~= '' and not is_there(i) then
      if backlog >= limit then return leave('FULL', backlog, limit) end
      local stored, problem = pcall(accept, i, number)
      if stored and problem == 'MISSING' then return leave('GAP') end
      if not stored then -- scripts are not rolled back: what is in must be counted, or the repeat doubles it
        leave('OK')
        return redis.error_reply(type(problem) == 'table' and problem.err or tostring(problem))
      end
      backlog, accepted = backlog + 1, accepted + 1
    end
    mark = number
  end
end
return leave('OK', backlog, limit)
