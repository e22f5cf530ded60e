-- Reads which nodes live and what they decide by.
-- KEYS    1 acks  2 nodes
-- returns {now in ms, {node, version, …}, {node, 'ms facts', …}}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { now, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
