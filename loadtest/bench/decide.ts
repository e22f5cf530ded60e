/**
 * How long a fleet of two takes to decide anew: the percentage is changed on one node over a real Redis, and both are asked
 * for a decision until it is by the new rules. Also what the operator waits for: the answer with both acknowledgements.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway } from '../gateway.ts';
import { startRedis } from '../redis-process.ts';
import { newHistogram, numberOption, quantileMs, report, round } from '../report.ts';
import { pinLoad, type ServerProcess } from '../server-process.ts';

const repetitions = numberOption('repetitions', 50, 2);
/** The first ones compile the code. */
const unmeasured = 5;
const adminToken = 'an-admin-token-of-the-benches';
const agent = new Agent({ keepAlive: true });

function ask(node: ServerProcess, method: string, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
    const sent = request(`${node.url}/admin/v1${path}`, { method, headers, agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${path} was answered ${answer.statusCode}: ${text}`));
      });
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const versionOf = async (node: ServerProcess): Promise<number> =>
  ((await ask(node, 'GET', '/decisions/acme/ann')) as { version: number }).version;

/** Resolves with the moment at which the node first decided by rules above `version`. */
async function decidesAnew(node: ServerProcess, version: number): Promise<number> {
  while ((await versionOf(node)) <= version);
  return performance.now();
}

async function untilBoth(node: ServerProcess): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    // 503 until it has read the rules: Redis may listen a moment later than it.
    const told = await ask(node, 'GET', '/rollout').catch(() => ({ acks: {} }));
    if (Object.keys((told as { acks: object }).acks).length === 2) return;
    await sleep(20);
  }
  throw new Error('the two nodes never knew of each other');
}

async function main(): Promise<void> {
  const placed = pinLoad();
  const redis = await startRedis();
  const settings = (nodeId: string) => ({
    TURNOUT_NODE_ID: nodeId,
    TURNOUT_REDIS_URL: redis.url,
    TURNOUT_ADMIN_TOKEN: adminToken,
    REALTIME_ROLLOUT_PERCENT: '10',
  });
  const nodes = await Promise.all(['node-a', 'node-b'].map((nodeId) => startGateway(settings(nodeId))));
  const [a, b] = nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes were started');
  try {
    await untilBoth(a);
    const [here, there, both, acked] = [newHistogram(), newHistogram(), newHistogram(), newHistogram()];
    let laggards = 0;
    for (let turn = -unmeasured; turn < repetitions; turn += 1) {
      const version = await versionOf(a);
      const watching = [decidesAnew(a, version), decidesAnew(b, version)];
      const beganMs = performance.now();
      const body = { percent: 1 + ((turn + unmeasured) % 99), reason: 'bench' };
      const answer = (await ask(a, 'PUT', '/rollout/percent', body)) as { laggards: string[] };
      const ackedMs = performance.now();
      const [aMs = 0, bMs = 0] = await Promise.all(watching);
      if (turn < 0) continue;
      laggards += answer.laggards.length;
      acked.recordValue(Math.ceil((ackedMs - beganMs) * 1000));
      here.recordValue(Math.ceil((aMs - beganMs) * 1000));
      there.recordValue(Math.ceil((bMs - beganMs) * 1000));
      both.recordValue(Math.ceil((Math.max(aMs, bMs) - beganMs) * 1000));
    }
    const rows = [
      ['the node that was told decides anew', here],
      ['the other node decides anew', there],
      ['both decide anew', both],
      ['the change is answered, all nodes acknowledged', acked],
    ] as const;
    report(
      'decide',
      { placed, repetitions, laggards },
      rows.map(([what, histogram]) => ({
        'percent changed → ms until': what,
        p50: quantileMs(histogram, 50),
        p99: quantileMs(histogram, 99),
        max: round(histogram.maxValue / 1000, 2),
      })),
    );
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
    agent.destroy();
  }
}

await main();
