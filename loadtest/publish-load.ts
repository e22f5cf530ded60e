/** `POST /v1/publish` as fast as it is answered, by autocannon: what the append benches measure. */
import autocannon from 'autocannon';
import { numberOption, isQuick } from './report.ts';

export const connections = numberOption('connections', 32);

/** What autocannon counted: requests a second, and how long they took. */
export interface PublishLoad {
  readonly requestsPerS: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

/** @param batch events a request @param seconds a quick run sends one request a connection instead */
export async function publishLoad(
  url: string,
  token: string,
  batch: number,
  seconds: number,
): Promise<PublishLoad> {
  const event = { service: 'bench', type: 'tick', payload: { revenue: 1250, currency: 'EUR' } };
  const { requests, latency, errors, non2xx } = await autocannon({
    url: `${url}/v1/publish`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ org: 'bench', events: Array.from({ length: batch }, () => event) }),
    connections,
    ...(isQuick ? { amount: connections } : { duration: seconds }),
  });
  return { requestsPerS: requests.average, p50: latency.p50, p99: latency.p99, errors: errors + non2xx };
}
