-- schema: does this queue speak our wire format? The first one to come says which it is.
local function same_schema()
  local found = redis.call('HGET', key.config, 'schema')
  if not found then
    redis.call('HSET', key.config, 'schema', arg.schema)
    return true
  end
  return found == arg.schema
end
