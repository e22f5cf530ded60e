-- Leaves an answer where the asking node gathers it.
-- KEYS    1 answers
-- ARGV    1 answer (JSON)  2 ms that it waits to be gathered
-- returns nothing

redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
