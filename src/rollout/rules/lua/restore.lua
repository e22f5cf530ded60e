-- Puts back a document that a node holds, when the one that stands is older: in the order of `isNewer` (rules.ts).
-- KEYS    1 document
-- ARGV    1 version  2 nonce  3 killed (1 or 0)  4 document  5 channel
-- returns 1 when written, 0 when one as new or newer stands

local held = redis.call('HMGET', KEYS[1], 'version', 'nonce', 'killed')
if held[1] then
  local mine, theirs = tonumber(ARGV[1]), tonumber(held[1])
  if mine < theirs then return 0 end
  if mine == theirs then
    if ARGV[3] < held[3] then return 0 end
    if ARGV[3] == held[3] and ARGV[2] <= held[2] then return 0 end
  end
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'nonce', ARGV[2], 'killed', ARGV[3], 'json', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[4])
return 1
