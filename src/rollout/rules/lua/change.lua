-- Compare and set: writes a document where the expected one stands, adds a line to the audit trail and tells the nodes.
-- KEYS    1 document  2 audit
-- ARGV    1 expected version  2 expected nonce (both '' where none may stand)  3 version  4 nonce  5 killed (1 or 0)
--         6 document  7 line of the trail  8 channel  9 lines to keep
-- returns {1, ''} when written; {0, document that stands or ''} when another stood there

local held = redis.call('HMGET', KEYS[1], 'version', 'nonce', 'json')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then
  return { 0, held[3] or '' }
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'nonce', ARGV[4], 'killed', ARGV[5], 'json', ARGV[6])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], '*', 'entry', ARGV[7])
redis.call('PUBLISH', ARGV[8], ARGV[6])
return { 1, '' }
