/** Appends through `POST /v1/publish`, one event and a hundred a request, with autocannon and nobody listening. */
import autocannon from 'autocannon';
import { producerToken, startGateway } from '../gateway.ts';
import { isQuick, numberOption, report, round, type Row } from '../report.ts';
import { pinLoad } from '../server-process.ts';

const seconds = numberOption('seconds', 5, 0.5);
const warmUpS = isQuick ? 0.5 : 2;
const connections = numberOption('connections', 32);

async function measure(url: string, token: string, batch: number, duration: number): Promise<Row> {
  const event = { service: 'bench', type: 'tick', payload: { revenue: 1250, currency: 'EUR' } };
  const { requests, latency, errors, non2xx } = await autocannon({
    url: `${url}/v1/publish`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ org: 'bench', events: Array.from({ length: batch }, () => event) }),
    connections,
    duration,
  });
  return {
    'events a request': batch,
    'requests/s': round(requests.average),
    'events/s': round(requests.average * batch),
    'p50 ms': latency.p50,
    'p99 ms': latency.p99,
    errors: errors + non2xx,
  };
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const server = await startGateway({ TURNOUT_RETENTION_EVENTS: '100000' });
  try {
    const token = await producerToken();
    await measure(server.url, token, 1, warmUpS);
    const rows = [
      await measure(server.url, token, 1, seconds),
      await measure(server.url, token, 100, seconds),
    ];
    report('append-memory', { pinned, connections, seconds }, rows);
  } finally {
    await server.stop();
  }
}

await main();
process.exit(0);
