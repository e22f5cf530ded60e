-- Adds a line to the audit trail for something that changes no rules.
-- KEYS    1 audit
-- ARGV    1 line  2 lines to keep
-- returns nothing

redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1])
