/** Appends through `POST /v1/publish`, one event and a hundred a request, with autocannon and nobody listening. */
import { producerToken, startGateway } from '../gateway.ts';
import { connections, publishLoad } from '../publish-load.ts';
import { numberOption, report, round, type Row } from '../report.ts';
import { pinLoad } from '../server-process.ts';

const seconds = numberOption('seconds', 5);
const warmUpS = 2;

async function measure(url: string, token: string, batch: number): Promise<Row> {
  const { requestsPerS, p50, p99, errors } = await publishLoad(url, token, batch, seconds);
  return {
    'events a request': batch,
    'requests/s': round(requestsPerS),
    'events/s': round(requestsPerS * batch),
    'p50 ms': p50,
    'p99 ms': p99,
    errors,
  };
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const server = await startGateway({ TURNOUT_RETENTION_EVENTS: '100000' });
  try {
    const token = await producerToken();
    await publishLoad(server.url, token, 1, warmUpS);
    const rows = [await measure(server.url, token, 1), await measure(server.url, token, 100)];
    report('append-memory', { pinned, connections, seconds }, rows);
  } finally {
    await server.stop();
  }
}

await main();
process.exit(0);
