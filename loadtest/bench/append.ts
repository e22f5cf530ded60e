/**
 * Appends to a log in Redis: `POST /v1/publish` with one event and a hundred a request, against the log's own script called
 * bare from ioredis, on the same server, in turn. Nobody listens. Needs `redis-server` on the PATH.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { producerToken, startGateway } from '../gateway.ts';
import { startRedis } from '../redis-process.ts';
import { connections, publishLoad } from '../publish-load.ts';
import { median, newHistogram, numberOption, quantileMs, report, round, type Row } from '../report.ts';
import { pinLoad } from '../server-process.ts';

const seconds = numberOption('seconds', 4, 0.2);
const rounds = numberOption('rounds', 3, 1);
const retentionEvents = 100_000;
const retentionBytes = 256 * 1024 * 1024;
const payload = { revenue: 1250, currency: 'EUR' };

interface Measured {
  readonly eventsPerS: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

async function throughGateway(url: string, token: string, batch: number): Promise<Measured> {
  const { requestsPerS, ...measured } = await publishLoad(url, token, batch, seconds);
  return { eventsPerS: requestsPerS * batch, ...measured };
}

/** The org's keys, the settings and the events as the gateway's log passes them to append.lua. */
async function bare(redis: Redis, hash: string, batch: number): Promise<Measured> {
  const keys = ['meta', 'stream', 'ids:0', 'ids:1'].map((part) => `turnout:{bench}:${part}`);
  const settings = [
    'turnout:{bench}:tail',
    'PUBLISH',
    retentionEvents,
    86_400_000,
    100_000,
    600_000,
    86_700_000,
    // Not a bridge's: no turn fences it.
    '',
    0,
    retentionBytes,
  ];
  const histogram = newHistogram();
  const endMs = performance.now() + seconds * 1000;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const events = Array.from({ length: batch }, () => {
        const id = randomBytes(16).toString('hex');
        const fields = `\n"id":"${id}","service":"bench","type":"tick"\n,"payload":${JSON.stringify(payload)}}`;
        return [`backend\n${id}`, randomBytes(6).toString('base64url'), fields];
      });
      const sentMs = performance.now();
      const reply = await redis.evalsha(hash, keys.length, ...keys, ...settings, ...events.flat());
      if (!Array.isArray(reply)) throw new Error(`append.lua answered ${String(reply)}`);
      histogram.recordValue(Math.max(1, Math.round((performance.now() - sentMs) * 1000)));
      done += batch;
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const p50 = quantileMs(histogram, 50);
  return { eventsPerS: done / seconds, p50, p99: quantileMs(histogram, 99), errors: 0 };
}

const rowOf = (what: string, batch: number, measured: readonly Measured[]): Row => ({
  what,
  'events a request': batch,
  'events/s': round(median(measured.map(({ eventsPerS }) => eventsPerS))),
  'p50 ms': round(median(measured.map(({ p50 }) => p50)), 2),
  'p99 ms': round(median(measured.map(({ p99 }) => p99)), 2),
  errors: measured.reduce((sum, { errors }) => sum + errors, 0),
});

async function main(): Promise<void> {
  const pinned = pinLoad();
  const server = await startRedis({ isDurable: true });
  const redis = new Redis({ host: '127.0.0.1', port: server.port });
  try {
    const gateway = await startGateway({
      TURNOUT_REDIS_URL: server.url,
      TURNOUT_RETENTION_EVENTS: String(retentionEvents),
    });
    try {
      const token = await producerToken();
      // Begins the org's log, and teaches Redis the scripts.
      await throughGateway(gateway.url, token, 1);
      const script = readFileSync(new URL('../../src/log/lua/append.lua', import.meta.url));
      const hash = createHash('sha1').update(script).digest('hex');
      const rows: Row[] = [];
      for (const batch of [1, 100]) {
        const log: Measured[] = [];
        const lua: Measured[] = [];
        for (let turn = 0; turn < rounds; turn += 1) {
          log.push(await throughGateway(gateway.url, token, batch));
          lua.push(await bare(redis, hash, batch));
        }
        rows.push(rowOf('POST /v1/publish', batch, log), rowOf('append.lua bare', batch, lua));
      }
      const durability = 'appendfsync everysec';
      report('append', { pinned, connections, seconds, rounds, durability }, rows);
    } finally {
      await gateway.stop();
    }
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

await main();
process.exit(0);
