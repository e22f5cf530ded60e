-- Reads the rules document.
-- KEYS    1 document
-- returns {now in ms, document or ''}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { now, redis.call('HGET', KEYS[1], 'json') or '' }
