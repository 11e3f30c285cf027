-- groups: make the lanes and their consumer groups where they are missing. Id 0: a late group sees earlier jobs.
local function make_groups()
  for _, lane in ipairs(key.lane) do
    redis.pcall('XGROUP', 'CREATE', lane, 'workers', '0', 'MKSTREAM')
  end
end
