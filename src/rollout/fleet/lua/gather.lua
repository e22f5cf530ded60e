-- Takes the answers that have come since it was last asked.
-- KEYS    1 answers
-- returns them, and keeps none

local answers = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return answers
