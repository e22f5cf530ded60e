/** The Lua of the shared rules. Documents and lines of the trail are JSON that the scripts hand on unread. */
import type { RedisScript } from './redis.ts';

/** Lines of the audit trail that are kept, about. */
export const auditEntries = 10_000;

const now = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

export const scripts = {
  /**
   * KEYS document. No ARGV.
   * Returns {now in ms, document or ''}.
   */
  read: {
    name: 'rules-read',
    lua: `${now}
return { now, redis.call('HGET', KEYS[1], 'json') or '' }`,
  },

  /**
   * Compare and set.
   * KEYS document, audit. ARGV expected version and nonce (both '' where none may stand), version, nonce, killed (1 or 0),
   * document, line of the trail, channel, lines to keep.
   * Returns {1, ''} when written; {0, document that stands or ''} when another stood there.
   */
  change: {
    name: 'rules-change',
    lua: `
local held = redis.call('HMGET', KEYS[1], 'version', 'nonce', 'json')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then return { 0, held[3] or '' } end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'nonce', ARGV[4], 'killed', ARGV[5], 'json', ARGV[6])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], '*', 'entry', ARGV[7])
redis.call('PUBLISH', ARGV[8], ARGV[6])
return { 1, '' }`,
  },

  /**
   * Puts back a document that a node holds, when the one that stands is older: the order of \`isNewer\`.
   * KEYS document. ARGV version, nonce, killed (1 or 0), document, channel.
   * Returns 1 when written, 0 when one as new or newer stands.
   */
  restore: {
    name: 'rules-restore',
    lua: `
local held = redis.call('HMGET', KEYS[1], 'version', 'nonce', 'killed')
if held[1] then
  local mine, theirs = tonumber(ARGV[1]), tonumber(held[1])
  if mine < theirs then return 0 end
  if mine == theirs then
    if ARGV[3] < held[3] then return 0 end
    if ARGV[3] == held[3] and ARGV[2] <= held[2] then return 0 end
  end
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'nonce', ARGV[2], 'killed', ARGV[3], 'json', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[4])
return 1`,
  },

  /**
   * KEYS audit. ARGV line, lines to keep.
   * Returns nothing.
   */
  note: {
    name: 'rules-note',
    lua: `redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1])`,
  },

  /**
   * KEYS audit. ARGV how many.
   * Returns the newest lines, newest first.
   */
  trail: {
    name: 'rules-trail',
    lua: `
local lines = {}
for at, row in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])) do lines[at] = row[2][2] end
return lines`,
  },

  /**
   * A node says that it lives, and what it decides by; forgets those silent for long.
   * KEYS acks, nodes. ARGV node, version, facts (JSON), ms after which a silent node is forgotten.
   * Returns what `nodes` does, and what stood under the node's name before or ''.
   */
  report: {
    name: 'rules-report',
    lua: `${now}
local before = redis.call('HGET', KEYS[2], ARGV[1]) or ''
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[3])
local nodes = redis.call('HGETALL', KEYS[2])
for at = 1, #nodes, 2 do
  local seen = tonumber(string.match(nodes[at + 1], '^%d+') or 0)
  if now - seen > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], nodes[at])
    redis.call('HDEL', KEYS[2], nodes[at])
  end
end
return { now, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), before }`,
  },

  /**
   * A node that ends takes its name back.
   * KEYS acks, nodes. ARGV node.
   * Returns nothing.
   */
  leave: {
    name: 'rules-leave',
    lua: `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])`,
  },

  /**
   * KEYS acks, nodes. No ARGV.
   * Returns {now in ms, {node, version, …}, {node, 'ms facts', …}}.
   */
  nodes: {
    name: 'rules-nodes',
    lua: `${now}
return { now, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }`,
  },

  /**
   * Asks all nodes. KEYS asked. ARGV channel, question, ms for which its answers are waited for.
   * Returns nothing.
   */
  ask: {
    name: 'rules-ask',
    lua: `
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])`,
  },

  /**
   * KEYS asked. No ARGV.
   * Returns nil once nobody waits for answers any more.
   */
  isAsked: {
    name: 'rules-is-asked',
    lua: `return redis.call('GET', KEYS[1])`,
  },

  /**
   * KEYS answers. ARGV answer, ms that it waits to be gathered.
   * Returns nothing.
   */
  answer: {
    name: 'rules-answer',
    lua: `
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  },

  /**
   * KEYS answers. No ARGV.
   * Returns those that have come since it was last asked, and takes them away.
   */
  gather: {
    name: 'rules-gather',
    lua: `
local answers = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return answers`,
  },
} as const satisfies Record<string, RedisScript>;
