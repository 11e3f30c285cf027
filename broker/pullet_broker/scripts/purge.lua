-- purge: remove a dead letter and its large arguments.
-- KEYS     dead buried
-- ARGV     job blob
-- RETURNS  1 when it is gone, 0 when there was none
-- USES     numbers clock entry letters
-- OOM      allow
-- ATOMIC   the arguments of a job that was just replayed, or of a new one with its id, must stay
local place, flat = find_letter(arg.job)
if not place then return 0 end
drop_letter(place, arg.job)
if flat and field(flat, 'blob') then drop_arguments(arg.job) end
return 1
