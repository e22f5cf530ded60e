-- Reads the audit trail.
-- KEYS    1 audit
-- ARGV    1 how many lines  2 where to begin: + or ( and an id
-- returns ids and lines by turns, newest first

local lines = {}
for _, row in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[2], '-', 'COUNT', ARGV[1])) do
  lines[#lines + 1] = row[1]
  lines[#lines + 1] = row[2][2]
end
return lines
