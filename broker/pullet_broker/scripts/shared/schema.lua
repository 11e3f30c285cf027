-- schema: does this queue speak our wire format? The first one to come says which it is.
local function is_our_schema(found)
  if not found then
    redis.call('HSET', key.config, 'schema', arg.schema)
    return true
  end
  return found == arg.schema
end

local function same_schema() return is_our_schema(redis.call('HGET', key.config, 'schema')) end
