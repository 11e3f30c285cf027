-- backlog: how many jobs the queue holds, and how many it may. Most have never seen a key, so no place has a lane.
-- Needs key.parked, key.places, arg.backlog, and schema, backlog and keyed of `config`.
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
