-- groups: make the lanes and their consumer groups where they are missing. Id 0: a late group sees earlier jobs.
local function make_groups()
  for _, lane in ipairs({key.lane[1], key.lane[2], key.lane[3], key.lane[4], key.lane[5], key.lane[6]}) do
    redis.pcall('XGROUP', 'CREATE', lane, 'workers', '0', 'MKSTREAM')
  end
end
