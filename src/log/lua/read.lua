-- Reads what follows a place in an org's log, with the head, at one moment. Writes nothing: a replica may run it.
-- KEYS    1 meta  2 stream
-- ARGV    1 head, earliest, seq or cursor  2 epoch or ''  3 seq  4 ms or 0  5 tag (of a cursor)
--         6 entries at most  7 bytes at most (one entry more may come)  8 retention, ms
-- returns nil where the org has no log yet, else {answer, epoch, head's seq, ms, tag}, the answer being expired, epoch,
--         fork, ahead, or page: then also the start's seq, ms (0: unknown) and tag, and an id and an entry in turns

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ms', 'tag')
if not meta[1] then
  return nil
end
local mode, epoch, tag = ARGV[1], ARGV[2], ARGV[5]
local headSeq, headMs = tonumber(meta[2]), tonumber(meta[3])
local answer = { 'page', meta[1], meta[2], meta[3], meta[4] }

local function seqOf(row)
  return tonumber(string.match(row[1], '%-(%d+)$'))
end

local function msOf(row)
  return tonumber(string.match(row[1], '^(%d+)'))
end

local function tagsOf(row)
  return string.match(row[2][2], '^([^\n]*)\n([^\n]*)\n')
end

local function refuse(reason)
  answer[1] = reason
  return answer
end

-- What age has expired may still be stored: trimming is by whole nodes, and only appends trim.
local time = redis.call('TIME')
local floor = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[8]))
local first = redis.call('XRANGE', KEYS[2], string.format('%.0f', floor), '+', 'COUNT', 1)[1]
local before = { seq = headSeq, ms = headMs, tag = meta[4] }
if first then
  local _, previous = tagsOf(first)
  before = { seq = seqOf(first) - 1, ms = 0, tag = previous }
end

-- The row at a seq that is kept. Its id is known but for the time, which a bisection finds in 20 steps at most.
local function find(seq, ms)
  local function at(when)
    local id = string.format('%.0f-%.0f', when, seq)
    return redis.call('XRANGE', KEYS[2], id, id)[1]
  end
  local row = at(ms)
  if row then
    return row
  end
  local low, lowSeq, high = msOf(first), seqOf(first), headMs
  for _ = 1, 20 do
    if seq - lowSeq <= 16 or low >= high then
      break
    end
    local middle = math.ceil((low + high) / 2)
    row = redis.call('XRANGE', KEYS[2], string.format('%.0f', middle), '+', 'COUNT', 1)[1]
    local rowSeq = seqOf(row)
    if rowSeq == seq then
      return row
    elseif rowSeq < seq then
      low, lowSeq = msOf(row), rowSeq
    else
      high = middle - 1
    end
  end
  row = at(low)
  if row then
    return row
  end
  local from = string.format('%.0f-%.0f', low, lowSeq)
  local rows = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', string.format('%.0f', seq - lowSeq + 1))
  row = rows[#rows]
  return row and seqOf(row) == seq and row or nil
end

local start = before
if mode == 'head' then
  start = { seq = headSeq, ms = headMs, tag = meta[4] }
elseif mode ~= 'earliest' then
  local seq = tonumber(ARGV[3])
  if epoch ~= '' and epoch ~= meta[1] then
    return refuse('epoch')
  elseif seq > headSeq then
    return refuse('ahead')
  elseif seq < before.seq then
    return refuse('expired')
  elseif seq == headSeq then
    start = { seq = headSeq, ms = headMs, tag = meta[4] }
  elseif seq > before.seq then
    local row = find(seq, tonumber(ARGV[4]))
    if not row then
      return refuse('expired')
    end
    start = { seq = seq, ms = msOf(row), tag = tagsOf(row) }
  end
  -- A tag is drawn anew for every append: another one at this seq means that history was written again.
  if mode == 'cursor' and start.tag ~= tag then
    return refuse('fork')
  end
end

answer[6] = string.format('%.0f', start.seq)
answer[7] = string.format('%.0f', start.ms)
-- Without a tag the entry there is not ours: what follows it must not move up in the answer.
answer[8] = start.tag or ''
if not first or start.seq == headSeq then
  return answer
end
local from = first[1]
if start.seq > before.seq then
  from = '(' .. answer[7] .. '-' .. answer[6]
end
local left, bytes = tonumber(ARGV[6]), tonumber(ARGV[7])
while left > 0 do
  local rows = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', math.min(left, 100))
  for _, row in ipairs(rows) do
    answer[#answer + 1] = row[1]
    answer[#answer + 1] = row[2][2]
    -- Recipients are no part of the JSON that the limit is about; nor is this exact, the caller cuts.
    local _, skipped = string.find(row[2][2], '^[^\n]*\n[^\n]*\n[^\n]*\n')
    bytes = bytes - (#row[2][2] - (skipped or 0))
    if bytes < 0 then
      return answer
    end
  end
  if #rows < 100 then
    break
  end
  left = left - #rows
  from = '(' .. rows[#rows][1]
end
return answer
