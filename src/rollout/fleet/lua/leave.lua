-- Forgets a node that ends.
-- KEYS    1 acks  2 nodes
-- ARGV    1 node
-- returns nothing

redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
