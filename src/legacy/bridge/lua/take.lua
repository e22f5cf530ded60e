-- Takes a bridge's lease, or renews it, and tells whether some node reads the source.
-- KEYS    1 lease  2 last: the latest turn, and how many places were kept in it  3 fed: there while the source is read
-- ARGV    1 holder (`node run`)  2 how long lease and `fed` last, ms  3 the holder's turn, or 0  4 places that it knows to be
--         kept in that turn  5 '1' where the holder reads the source
-- returns {answer, holder, turn, '1' or nil where no node reads the source}. The answer is 'held': another node has the lease;
--         'kept': the holder's turn goes on; or 'fresh': a new turn has begun
--
-- A turn is over where another came after it, and where fewer places are kept than the holder knows of: Redis went back in
-- time then, and the log with it. A turn's number is the time, so that such a Redis gives none twice.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return { 'held', holder, '', redis.call('GET', KEYS[3]) }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local turn, kept = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%d+)$')
if turn == ARGV[3] and tonumber(kept) >= tonumber(ARGV[4]) then
  if ARGV[5] == '1' then
    redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
  end
  return { 'kept', ARGV[1], turn, redis.call('GET', KEYS[3]) }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
turn = string.format('%.0f', math.max(tonumber(turn or 0) + 1, now))
redis.call('SET', KEYS[2], turn .. ' 0')
return { 'fresh', ARGV[1], turn, redis.call('GET', KEYS[3]) }
