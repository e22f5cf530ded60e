-- Reads the audit trail.
-- KEYS    1 audit
-- ARGV    1 how many lines
-- returns the newest lines, newest first

local lines = {}
for at, row in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])) do
  lines[at] = row[2][2]
end
return lines
