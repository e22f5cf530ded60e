-- Asks every node a question.
-- KEYS    1 asked
-- ARGV    1 channel  2 question (JSON)  3 ms for which its answers are waited for
-- returns nothing

redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])
