-- Tells an org's head and puts off the end of its keys: a node has a feed of it. All four keys end together: a stream that
-- outlived its meta would be taken for another epoch's. An org that no node has a feed of, and that gets no append, ends when
-- its expiry is over.
-- KEYS    1 meta  2 stream  3 ids:0  4 ids:1
-- ARGV    1 expiry, ms
-- returns nil where the org has no log, else {epoch, seq, ms, tag}

local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ms', 'tag')
if not head[1] then
  return nil
end
for key = 1, 4 do
  redis.call('PEXPIRE', KEYS[key], ARGV[1])
end
return head
