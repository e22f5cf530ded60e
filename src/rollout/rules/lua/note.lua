-- Adds a line to the audit trail for something that changes no rules.
-- KEYS    1 audit  2 places of the author's lines
-- ARGV    1 line  2 lines to keep  3 of one author
-- returns nothing

-- An author's own oldest entry goes where theirs are too many. By pcall: no fault of the trail keeps a change from being written.
local function keepShare(trail, theirs, id, share)
  redis.pcall('XADD', theirs, id, 'of', '')
  redis.pcall('PEXPIRE', theirs, 400 * 86400000)
  local oldest = redis.pcall('XRANGE', theirs, '-', '+', 'COUNT', 1)
  local trimmed = redis.pcall('XTRIM', theirs, 'MAXLEN', share)
  if type(trimmed) == 'number' and trimmed > 0 then redis.pcall('XDEL', trail, oldest[1][1]) end
end

local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1])
keepShare(KEYS[1], KEYS[2], id, ARGV[3])
