/** Guards of log: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

const damaged = 'tests/correctness/damaged-org';
const retention = 'tests/correctness/redis-retention';
const waits = 'tests/correctness/waits-and-counts';
const processes = 'tests/correctness/process-faults';
const isolated = 'tests/correctness/isolated-faults';

export const logMutations: readonly Mutation[] = [
  {
    name: "correctness: one org's fault marks the log as down for all",
    file: 'src/log/redis-health.ts',
    find: "if (of === 'server') this.down(word);",
    replace: 'this.down(word);',
    test: damaged,
    expectRed: 'a stream of another type: the log stays up',
  },
  {
    name: 'correctness: one append that memory was short for marks the log as down',
    file: 'src/log/redis-faults.ts',
    find: "if (word === 'OOM') return { word, of: 'unsure' };",
    replace: "if (word === 'OOM') return { word, of: 'server' };",
    test: damaged,
    expectRed: 'leaves the log up where memory was short for one large append alone',
  },
  {
    name: 'correctness: an entry that no Turnout wrote is handed to readers',
    file: 'src/log/redis-wire.ts',
    find: 'if (!isNamed || !isWhole || (to !== null && !isTexts(to)))',
    replace: 'if (to !== null && !isTexts(to) && !isWhole && !isNamed)',
    test: damaged,
    expectRed: 'an entry of garbage: the log stays up',
  },
  {
    name: 'correctness: a head that fails is asked for ten times a second',
    file: 'src/log/redis-heads.ts',
    find: 'clock.after(backoffMs(org.failures, backoff, clock), () => {',
    replace: 'clock.after(backoffMs(0, { firstMs: 1, maxMs: 1 }, clock), () => {',
    test: damaged,
    expectRed: 'compares a head that fails less and less often',
  },
  {
    name: 'correctness: bytes bound nothing in Redis',
    file: 'src/log/lua/append.lua',
    find: 'or (bytes > maxBytes and length > 1) or',
    replace: 'or',
    test: retention,
    expectRed: 'keeps an org in Redis within its bytes, however large its events',
  },
  {
    name: 'correctness: a log of an older version is never counted',
    file: 'src/log/lua/append.lua',
    find: "if from ~= '-' then\n  local rows",
    replace: "if from ~= '-' then from = '-' elseif false then\n  local rows",
    test: retention,
    expectRed: 'counts a log that an older version has left',
  },
  {
    name: 'correctness: a count is trusted after an older version has appended',
    file: 'src/log/lua/append.lua',
    find: 'if wasSeq == meta[2] then',
    replace: 'if wasSeq then',
    test: retention,
    expectRed: 'finds its count again after a node of an older version has appended',
  },
  {
    name: 'correctness: an append reads a whole log of an older version',
    file: 'src/log/lua/append.lua',
    find: "'-', 'COUNT', 100)",
    replace: "'-', 'COUNT', 100000)",
    test: retention,
    expectRed: 'counts a log that an older version has left, a hundred entries at each append',
  },
  {
    name: "correctness: a reader's fault skips those after it",
    file: 'src/hub/ring-cursor.ts',
    find: `    } catch (fault) {
      this.broke(fault);
      return false;
    }`,
    replace: `    } catch (fault) {
      throw fault;
    }`,
    test: isolated,
    expectRed: 'is the only one who misses what came',
  },
  {
    name: "correctness: one feed's fault skips the feeds after it",
    file: 'src/hub/hub.ts',
    find: "runEach([() => feed.flush()], 'feed', feed.onFault);",
    replace: 'feed.flush();',
    test: isolated,
    expectRed: 'a flush that throws leaves the other feeds of its tick their turn',
  },
  {
    name: 'correctness: a deadline that throws takes its slot along',
    file: 'src/transports/wheel.ts',
    find: "else runEach([next.value], 'timer', this.onFault);",
    replace: 'else next.value();',
    test: isolated,
    expectRed: 'a deadline that throws leaves the others of its slot',
  },
  {
    name: 'correctness: a timer that throws ends the node',
    file: 'src/async/faults.ts',
    find: "runEach([run], 'timer', onFault);",
    replace: 'run();',
    test: isolated,
    expectRed: 'a timer that throws goes on',
  },
  {
    name: 'correctness: a listener that throws silences the next',
    file: 'src/async/listeners.ts',
    find: 'fault ??= { error };',
    replace: 'throw error;',
    test: isolated,
    expectRed: 'a listener that throws keeps the next ones from nothing',
  },
  {
    name: 'correctness: a close waits for a feed that opens while the log is away',
    file: 'src/hub/hub.ts',
    find: '    slot.closing.abort();\n',
    replace: '',
    test: waits,
    expectRed: 'a hub closes while a feed opens and its log is away',
  },
  {
    name: 'correctness: a delay may be negative',
    file: 'src/metrics/weighted-histogram.ts',
    find: 'const value = Math.max(0, span);',
    replace: 'const value = span;',
    test: waits,
    expectRed: 'a sum of delays never falls',
  },
  {
    name: 'correctness: delays are counted for readers that were given nothing',
    file: 'src/hub/group.ts',
    find: 'if (member.pump()) given += 1;',
    replace: 'given += member.pump() ? 1 : 1;',
    test: waits,
    expectRed: 'is counted for readers that were given something',
  },
  {
    name: 'correctness: a failed unsubscribe is forgotten',
    file: 'src/redis/subscription.ts',
    find: '(channel) => !this.wanted.has(channel) && this.leaving.has(channel)',
    replace: '(channel) => !this.wanted.has(channel) && this.leaving.delete(channel)',
    test: waits,
    expectRed: 'an unsubscribe that failed is sent again',
  },
  {
    name: 'correctness: log lines are dropped in silence',
    file: 'src/logger.ts',
    find: '        dropped += 1;\n        onDropped();\n',
    replace: '',
    test: waits,
    expectRed: 'lines that standard output had no room for are counted',
  },
  {
    name: 'correctness: an uncaught exception ends every node at once',
    file: 'src/gateway/faults.ts',
    find: 'clock.after(spreadMs * clock.random(), drain);',
    replace: 'drain();',
    test: processes,
    expectRed: 'drains at its own moment after an exception',
  },
  {
    name: 'correctness: a damaged org stops the lane of its bridge for ever',
    file: 'src/legacy/bridge/feed.ts',
    find: 'if (nowMs - sinceMs < damagedMs) throw error;',
    replace: 'if (nowMs >= sinceMs) throw error;',
    test: 'tests/correctness/damaged-org-bridge',
    expectRed: 'leaves a damaged org behind after a while',
  },
];
