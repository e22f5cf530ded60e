-- Begins an org's log: gives it an epoch, unless it has one.
-- KEYS    1 meta  2 stream  3 ids:0  4 ids:1
-- ARGV    1 new epoch  2 expiry, ms
-- returns the epoch that holds now

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch then
  return epoch
end
-- Without meta what is left belongs to no epoch: kept, it would be taken for the new one's.
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
local time = redis.call('TIME')
local now = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'ms', '0', 'tag', '', 'ids', '0', 'since', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return ARGV[1]
