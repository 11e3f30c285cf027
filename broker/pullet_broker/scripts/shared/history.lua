-- history: a job's field `errors`, a line for each of the last ten attempts that ended badly:
-- attempt consumer ms raised|crashed|lost [type text]
local function remembered(flat, consumer, what)
  local line = (whole(field(flat, 'attempt')) or 1) .. ' ' .. consumer .. ' ' .. now() .. ' ' .. what:gsub('%c', ' ')
  local lines = {}
  for old in (field(flat, 'errors') or ''):gmatch('[^\n]+') do lines[#lines + 1] = old end
  lines[#lines + 1] = line
  return table.concat(lines, '\n', math.max(1, #lines - 9))
end
