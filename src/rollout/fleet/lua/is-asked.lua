-- Tells whether a question is still waited for.
-- KEYS    1 asked
-- returns nil once its answers are not waited for any more

return redis.call('GET', KEYS[1])
