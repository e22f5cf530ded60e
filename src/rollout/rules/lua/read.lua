-- Reads the rules document, unless the node that asks holds it already.
-- KEYS    1 document
-- ARGV    1 version  2 nonce of the document that the node holds (both '' where it holds none)
-- returns {now in ms} where that document stands; else {now in ms, document or ''}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('HMGET', KEYS[1], 'version', 'nonce')
if stored[1] == ARGV[1] and stored[2] == ARGV[2] then return { now } end
return { now, redis.call('HGET', KEYS[1], 'json') or '' }
