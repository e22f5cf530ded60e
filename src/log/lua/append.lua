-- Appends a batch to an org's log, all of it or nothing, and tells the tails what was stored.
-- KEYS    1 meta  2 stream  3 ids:0  4 ids:1
-- ARGV    1 channel  2 PUBLISH or SPUBLISH  3 entries to keep, at least  4 retention, ms  5 ids to know, at least
--         6 the ids' window, ms  7 expiry, ms  8 a publisher that has turns, or ''  9 its turn; then for each event: its
--         idempotency key, its tag, its fields
-- returns nil where the org has no log yet, 'fenced' where a later turn has stored something, else {epoch, for each event its seq, or minus the first's seq}
--
-- An entry is one stream field, `e`: tag, predecessor's tag and the event's fields, a line each. The message is a line
-- `a <epoch> <previous seq> <previous ms> <previous tag> <ms>`, then the entries.

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ms', 'tag', 'ids', 'since')
if not meta[1] then
  return nil
end
local fence = 'fence ' .. ARGV[8]
if ARGV[8] ~= '' and tonumber(ARGV[9]) < tonumber(redis.call('HGET', KEYS[1], fence) or 0) then
  return 'fenced'
end
local epoch, seq, tag = meta[1], tonumber(meta[2]), meta[4]
local time = redis.call('TIME')
-- A clock that went back must not take the order of append times with it.
local ms = math.max(tonumber(meta[3]), time[1] * 1000 + math.floor(time[2] / 1000))
local msText = string.format('%.0f', ms)
local head = 'a ' .. epoch .. ' ' .. meta[2] .. ' ' .. meta[3] .. ' ' .. tag .. ' ' .. msText

-- Two hashes of ids take turns: one is written until it is full or old, the other is the turn before.
local current, window = tonumber(meta[5]), tonumber(ARGV[6])
local age = ms - tonumber(meta[6])
local mustTurn = age >= window or redis.call('HLEN', KEYS[3 + current]) >= tonumber(ARGV[5])
local keys = {}
for arg = 10, #ARGV, 3 do
  keys[#keys + 1] = ARGV[arg]
end
local newer, older = {}, {}
if #keys > 0 and age < 2 * window then
  newer = redis.call('HMGET', KEYS[3 + current], unpack(keys))
  if not mustTurn then
    older = redis.call('HMGET', KEYS[4 - current], unpack(keys))
  end
end

local results, message, ids, given = { epoch }, { head }, {}, {}
for index = 1, #keys do
  local key = keys[index]
  local first = newer[index] or older[index] or given[key]
  if first then
    results[#results + 1] = -tonumber(first)
  else
    seq = seq + 1
    local arg = 7 + index * 3
    local previous = tag
    tag = ARGV[arg + 1]
    -- The first write of all, so that a full or read-only Redis refuses the batch before anything was touched.
    local entry = tag .. '\n' .. previous .. '\n' .. ARGV[arg + 2]
    local seqText = string.format('%.0f', seq)
    redis.call('XADD', KEYS[2], msText .. '-' .. seqText, 'e', entry)
    message[#message + 1] = entry
    given[key] = seq
    ids[#ids + 1] = key
    ids[#ids + 1] = seqText
    results[#results + 1] = seq
  end
end
if #ids == 0 then
  return results
end

local since = meta[6]
if mustTurn then
  if age >= 2 * window then
    redis.call('UNLINK', KEYS[3 + current])
  end
  current = 1 - current
  since = msText
  redis.call('UNLINK', KEYS[3 + current])
end
redis.call('HSET', KEYS[3 + current], unpack(ids))
redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq), 'ms', msText, 'tag', tag, 'ids', current, 'since', since)
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], fence, ARGV[9])
end
redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[3])
redis.call('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', math.max(0, ms - tonumber(ARGV[4]))))
for key = 1, 4 do
  redis.call('PEXPIRE', KEYS[key], ARGV[7])
end
redis.call(ARGV[2], ARGV[1], table.concat(message, '\n'))
return results
