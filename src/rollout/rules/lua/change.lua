-- Compare and set: writes a document where the expected one stands, adds a line to the audit trail and tells the nodes.
-- KEYS    1 document  2 audit  3 places of the author's lines
-- ARGV    1 expected version  2 expected nonce (both '' where none may stand)  3 version  4 nonce  5 killed (1 or 0)
--         6 document  7 line of the trail  8 channel  9 lines to keep  10 of one author
-- returns {1, ''} when written; {0, document that stands or ''} when another stood there

-- An author's own oldest entry goes where theirs are too many. By pcall: no fault of the trail keeps a change from being written.
local function keepShare(trail, theirs, id, share)
  redis.pcall('XADD', theirs, id, 'of', '')
  redis.pcall('PEXPIRE', theirs, 400 * 86400000)
  local oldest = redis.pcall('XRANGE', theirs, '-', '+', 'COUNT', 1)
  local trimmed = redis.pcall('XTRIM', theirs, 'MAXLEN', share)
  if type(trimmed) == 'number' and trimmed > 0 then redis.pcall('XDEL', trail, oldest[1][1]) end
end

local held = redis.call('HMGET', KEYS[1], 'version', 'nonce', 'json')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then
  return { 0, held[3] or '' }
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'nonce', ARGV[4], 'killed', ARGV[5], 'json', ARGV[6])
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], '*', 'entry', ARGV[7])
keepShare(KEYS[2], KEYS[3], id, ARGV[10])
redis.call('PUBLISH', ARGV[8], ARGV[6])
return { 1, '' }
