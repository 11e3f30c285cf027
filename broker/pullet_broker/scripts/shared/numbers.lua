-- numbers: read what should be one.
-- A whole number of at most 15 digits, so that it stays exact, or nil: what a script is given may be anything.
local function whole(text)
  if text and #text <= 15 and text:find('^%d+$') then return tonumber(text) end
  return nil
end

local function positive(text)
  local number = whole(text)
  return number and number > 0 and number or nil
end
