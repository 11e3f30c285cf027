-- backlog: how many jobs the queue holds, how many it may, and whether it has ever seen a key: most queues have not.
-- Needs key.config, key.parked, key.places, arg.backlog.
local function count_backlog()
  local config = redis.call('HMGET', key.config, 'backlog', 'keyed')
  local backlog, keyed = redis.call('HLEN', key.parked), config[2] ~= false
  for _, lane in ipairs(key.lane) do backlog = backlog + redis.call('XLEN', lane) end
  for _, place in ipairs(keyed and redis.call('SMEMBERS', key.places) or {}) do
    backlog = backlog + redis.call('XLEN', at_key(place))
  end
  return backlog, whole(config[1] or '') or tonumber(arg.backlog), keyed
end
