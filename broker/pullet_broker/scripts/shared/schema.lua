-- schema: does this queue speak our wire format? The first one to come says which it is. `found`: what `config` says.
local function same_schema(found)
  if not found then
    redis.call('HSET', key.config, 'schema', arg.schema)
    return true
  end
  return found == arg.schema
end
