/**
 * How long a node with 100,000 sessions keeps its event loop from everybody while an operator watches it, scrapes it and
 * moves its users. The sessions are made inside the node (loadtest/inside/crowded-node.ts): no load, only what visits them.
 * Exits non-zero where a step, in processor time, misses loadtest/budgets.json; a delay also holds what others took the core for.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isQuick, numberOption, report, round, type Row } from '../report.ts';
import { goFirst, pinLoad, profileFlags, ServerProcess } from '../server-process.ts';

const budgetMs = (
  JSON.parse(readFileSync(new URL('../budgets.json', import.meta.url), 'utf8')) as {
    loop: { delayMs: number };
  }
).loop.delayMs;
const sessions = numberOption('sessions', 100_000, 2000);
const seconds = numberOption('seconds', 10, 0.4);
const everyMs = isQuick ? 100 : 1000;
const adminToken = 'an-admin-token-of-the-benches';

interface Told {
  readonly delays: readonly { readonly ms: number; readonly workedMs: number }[];
  /** How long each collection of garbage took: a part of some of the delays. */
  readonly collections: readonly number[];
}

async function ask(node: ServerProcess, method: string, path: string, body?: object): Promise<string> {
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { body: JSON.stringify({ ...body, reason: 'bench' }) };
  const answer = await fetch(`${node.url}${path}`, { method, headers, ...sent });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
  return text;
}

const admin = (path: string): string => `/admin/v1${path}`;
const watch = (node: ServerProcess): Promise<string> => ask(node, 'GET', admin('/rollout'));
const phases: readonly (readonly [string, (node: ServerProcess, turn: number) => Promise<unknown>])[] = [
  ['nobody asks', () => Promise.resolve()],
  ['rollout get -w', watch],
  ['scrapes', (node) => ask(node, 'GET', '/metrics')],
  ['sessions of an org without any', (node) => ask(node, 'GET', admin('/sessions?org=nobody'))],
  [
    'percentage changes, watched',
    async (node, turn) => {
      await ask(node, 'PUT', admin('/rollout/percent'), { percent: turn % 2 === 0 ? 40 : 90 });
      await watch(node);
    },
  ],
  [
    'kills and unkills, watched',
    async (node, turn) => {
      await ask(node, 'POST', admin(turn % 2 === 0 ? '/rollout/kill' : '/rollout/unkill'), {});
      await watch(node);
    },
  ],
];

async function measure(
  node: ServerProcess,
  [phase, act]: (typeof phases)[number],
): Promise<Row & { readonly 'longest step ms': number }> {
  await ask(node, 'GET', '/delays');
  const endMs = performance.now() + seconds * 1000;
  let slowestMs = 0;
  for (let turn = 0; performance.now() < endMs; turn += 1) {
    const beganMs = performance.now();
    await act(node, turn);
    slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    await sleep(everyMs);
  }
  const { delays, collections } = JSON.parse(await ask(node, 'GET', '/delays')) as Told;
  const worked = delays.map(({ workedMs }) => workedMs).toSorted((one, other) => one - other);
  const delayed = delays.map(({ ms }) => ms).toSorted((one, other) => one - other);
  const at = (values: readonly number[], part: number): number =>
    round(values[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0, 1);
  return {
    phase,
    'longest step ms': at(worked, 1),
    'longest delay ms': at(delayed, 1),
    'p99.9 delay ms': at(delayed, 0.999),
    'longest collection ms': round(Math.max(0, ...collections), 1),
    'slowest answer ms': round(slowestMs),
  };
}

async function main(): Promise<number> {
  const placed = pinLoad();
  const node = await ServerProcess.start({
    entry: 'loadtest/inside/crowded-node',
    env: { SESSIONS: String(sessions), ADMIN_TOKEN: adminToken },
    nodeFlags: profileFlags,
  });
  try {
    const wentFirst = process.argv.includes('--priority') && goFirst(node);
    // Until the code is compiled.
    for (const phase of phases) await phase[1](node, 1);
    await sleep(isQuick ? 0 : 5000);
    const rows = [];
    for (const phase of phases) rows.push(await measure(node, phase));
    report('loop', { placed, wentFirst, sessions, seconds }, rows);
    const longestMs = Math.max(...rows.map((row) => row['longest step ms']));
    const isMet = isQuick || longestMs < budgetMs;
    console.log(`longest step ${longestMs} ms (under ${budgetMs}): ${isMet ? 'met' : 'MISSED'}`);
    return isMet ? 0 : 1;
  } finally {
    await node.stop();
  }
}

process.exit(await main());
