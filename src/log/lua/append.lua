-- Appends a batch to an org's log, all of it or nothing, and tells the tails what was stored.
-- KEYS    1 meta  2 stream  3 ids:0  4 ids:1
-- ARGV    1 channel  2 PUBLISH or SPUBLISH  3 entries to keep  4 retention, ms  5 ids to know, at least
--         6 the ids' window, ms  7 expiry, ms  8 a publisher that has turns, or ''  9 its turn  10 bytes to keep; then for
--         each event: its idempotency key, its tag, its fields
-- returns nil where the org has no log yet, 'fenced' where a later turn has stored something, else {epoch, for each event its seq, or minus the first's seq}
--
-- An entry is one stream field, `e`: tag, predecessor's tag and the event's fields, a line each. The message is a line
-- `a <epoch> <previous seq> <previous ms> <previous tag> <ms>`, then the entries.
--
-- How much the stream holds is in meta's `kept`: `<bytes> <from> <first seq> <its ms> <seq>`. The bytes are those of JSON and
-- recipients, of the entries from the id `from` on (`-`: of all). It stands only where the log is as it was left: a node of
-- an older version appends and trims without it. What is not counted is counted backwards, some at each append, so that no
-- append walks a whole log.

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ms', 'tag', 'ids', 'since', 'kept')
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
for arg = 11, #ARGV, 3 do
  keys[#keys + 1] = ARGV[arg]
end
local newer, older = {}, {}
if #keys > 0 and age < 2 * window then
  newer = redis.call('HMGET', KEYS[3 + current], unpack(keys))
  if not mustTurn then
    older = redis.call('HMGET', KEYS[4 - current], unpack(keys))
  end
end

local function partsOf(id)
  local when, place = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(when), tonumber(place)
end

-- Seqs have no holes: the first entry's tells how many there are.
local firstSeq, firstMs = seq + 1, ms
local function readFirst()
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if first then
    firstMs, firstSeq = partsOf(first[1])
  end
end
local bytes, from, wasFirst, wasMs, wasSeq = string.match(meta[7] or '', '^(%d+) (%S+) (%d+) (%d+) (%d+)$')
if wasSeq == meta[2] then
  bytes, firstSeq, firstMs = tonumber(bytes), tonumber(wasFirst), tonumber(wasMs)
else
  readFirst()
  bytes, from = 0, firstSeq > seq and '-' or ''
end

-- `{"seq":<seq>,<before>,"timestamp":"<24 characters>"<after>` has 47 characters of its own. Behind the tags an entry has
-- recipients, before and after in a line each.
local function bytesOf(row)
  local entry = row[2][2]
  local behindTags = string.match(entry, '^[^\n]*\n[^\n]*\n()') or 1
  local _, place = partsOf(row[1])
  return #entry - behindTags + 46 + #string.format('%.0f', place)
end

local results, message, ids, given, addedBytes = { epoch }, { head }, {}, {}, 0
for index = 1, #keys do
  local key = keys[index]
  local known = newer[index] or older[index] or given[key]
  if known then
    results[#results + 1] = -tonumber(known)
  else
    seq = seq + 1
    local arg = 8 + index * 3
    local previous = tag
    tag = ARGV[arg + 1]
    -- The first write of all, so that a full or read-only Redis refuses the batch before anything was touched.
    local entry = tag .. '\n' .. previous .. '\n' .. ARGV[arg + 2]
    local seqText = string.format('%.0f', seq)
    local id = msText .. '-' .. seqText
    redis.call('XADD', KEYS[2], id, 'e', entry)
    from = from == '' and id or from
    addedBytes = addedBytes + #entry
    bytes = bytes + bytesOf({ id, { 'e', entry } })
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

local maxBytes, floorMs = tonumber(ARGV[10]), ms - tonumber(ARGV[4])
local function isOver()
  local length = seq - firstSeq + 1
  return length > tonumber(ARGV[3]) or (bytes > maxBytes and length > 1) or (firstMs < floorMs and length > 0)
end

if from == '-' and isOver() then
  local counted = firstSeq
  readFirst()
  -- Trimmed by another hand: the bytes that went are not known.
  if firstSeq ~= counted then
    bytes, from = 0, '+'
  end
end
if from ~= '-' then
  local rows = redis.call('XREVRANGE', KEYS[2], from == '+' and from or '(' .. from, '-', 'COUNT', 100)
  for _, row in ipairs(rows) do
    bytes = bytes + bytesOf(row)
    from = row[1]
  end
  if bytes > maxBytes then
    -- What is not counted is older than what is too much already.
    redis.call('XTRIM', KEYS[2], 'MINID', '=', from)
    firstMs, firstSeq = partsOf(from)
  end
  if #rows < 100 or bytes > maxBytes then
    from = '-'
  end
end

-- Drops what retention no longer keeps, oldest first. Each entry is read once more in its life, when it goes: a log that has
-- far too much (a shorter retention, a long silence) drops some of it at each append.
local fromSeq = from == '-' and 0 or select(2, partsOf(from))
local left, leftBytes, step = 2000 + #ids, 4 * 1024 * 1024 + 2 * addedBytes, #ids / 2 + 1
local start, cut = '-', nil
while isOver() and left > 0 and leftBytes > 0 do
  local rows = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', step)
  for _, row in ipairs(rows) do
    firstMs, firstSeq = partsOf(row[1])
    if not isOver() then
      break
    end
    if firstSeq >= fromSeq then
      bytes = bytes - bytesOf(row)
    end
    left, leftBytes = left - 1, leftBytes - #row[2][2]
    firstSeq = firstSeq + 1
    cut = string.format('%.0f-%.0f', firstMs, firstSeq)
  end
  if #rows < step then
    break
  end
  start = cut
  step = math.min(100, step * 2)
end
if cut then
  redis.call('XTRIM', KEYS[2], 'MINID', '=', cut)
end

local seqText = string.format('%.0f', seq)
local kept = string.format('%.0f %s %.0f %.0f %s', math.max(0, bytes), from, firstSeq, firstMs, seqText)
redis.call('HSET', KEYS[1], 'seq', seqText, 'ms', msText, 'tag', tag, 'ids', current, 'since', since, 'kept', kept)
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], fence, ARGV[9])
end
for key = 1, 4 do
  redis.call('PEXPIRE', KEYS[key], ARGV[7])
end
redis.call(ARGV[2], ARGV[1], table.concat(message, '\n'))
return results
