-- Keeps what a node says of itself, and forgets the nodes that have been silent for long.
-- KEYS    1 acks  2 nodes
-- ARGV    1 node  2 version that it decides by  3 facts (JSON)  4 ms after which a silent node is forgotten
-- returns what nodes.lua does, and what stood under the node's id before or ''

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HGET', KEYS[2], ARGV[1]) or ''
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[3])
local nodes = redis.call('HGETALL', KEYS[2])
for at = 1, #nodes, 2 do
  local seen = tonumber(string.match(nodes[at + 1], '^%d+') or 0)
  if now - seen > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], nodes[at])
    redis.call('HDEL', KEYS[2], nodes[at])
  end
end
return { now, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), before }
