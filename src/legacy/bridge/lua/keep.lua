-- Keeps how far a lane of a bridge's source is in the log.
-- KEYS    1 lease  2 last: the latest turn, and how many places were kept in it  3 checkpoints
-- ARGV    1 holder  2 its turn  3 places that it knows to be kept in that turn  4 lane  5 position  6 the one before, or ''
-- returns {'kept', how many are now}; {'lost'} where another node has the lease; {'rewound'} where another position stands,
--         or fewer places than the holder knows of. An earlier try may have kept this position already.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { 'lost' }
end
local turn, kept = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%d+)$')
if turn ~= ARGV[2] or tonumber(kept) < tonumber(ARGV[3]) then
  return { 'rewound' }
end
local stands = redis.call('HGET', KEYS[3], ARGV[4]) or ''
if stands ~= ARGV[5] and stands ~= ARGV[6] then
  return { 'rewound' }
end
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
redis.call('SET', KEYS[2], turn .. ' ' .. (kept + 1))
return { 'kept', kept + 1 }
