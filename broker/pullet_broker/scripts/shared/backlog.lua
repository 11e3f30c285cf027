-- backlog: how many jobs the queue holds, how many it may, and whether it has ever seen a key: most queues have not.
-- Needs key.config, key.parked, key.places, arg.backlog. `config` holds schema, backlog, keyed.
local function read_config() return redis.call('HMGET', key.config, 'schema', 'backlog', 'keyed') end

local function count_backlog(config)
  local backlog = redis.call('HLEN', key.parked) + redis.call('XLEN', key.lane[1]) + redis.call('XLEN', key.lane[2])
  backlog = backlog + redis.call('XLEN', key.lane[3]) + redis.call('XLEN', key.lane[4]) + redis.call('XLEN', key.lane[5])
  if config[3] then
    for _, place in ipairs(redis.call('SMEMBERS', key.places)) do
      backlog = backlog + redis.call('XLEN', at_key(place))
    end
  end
  return backlog, whole(config[2] or '') or arg.backlog + 0
end
