/** Publishes by autocannon, each event under an id of its own; at the end the log is read and holds each once. */
import autocannon from 'autocannon';
import { HttpWire, httpRequest } from '../http-wire.ts';
import { countOption, numberOption, round } from '../report.ts';
import { openTarget, orgName, producerToken, userToken } from './target.ts';
import { atMost, budgets, errorRate, type Outcome, progress } from './verdict.ts';

const service = 'finance';
const pageEvents = 1000;

interface Page {
  readonly events: readonly { readonly id: string; readonly seq: number }[];
  readonly cursor: string;
  readonly more?: boolean;
}

/** Every id in the log, as often as it is there. */
async function readIds(url: string, org: string): Promise<string[]> {
  const wire = await HttpWire.open(url);
  const token = await userToken(org, 'reader');
  const ids: string[] = [];
  try {
    for (let cursor = 'earliest'; ; ) {
      const path = `/v1/realtime/poll?services=${service}&wait=0&limit=${pageEvents}&cursor=${cursor}`;
      const { status, body } = await wire.send(httpRequest('GET', path, token));
      if (status !== 200) throw new Error(`the log was not read: ${status}`);
      const page = JSON.parse(body.toString()) as Page;
      ids.push(...page.events.map(({ id }) => id));
      if (page.events.length === 0 && page.more !== true) return ids;
      cursor = page.cursor;
    }
  } finally {
    wire.close();
  }
}

export async function loadPublish(): Promise<Outcome> {
  const clients = countOption('clients', 16);
  const rate = numberOption('rate', 500, 100);
  const seconds = numberOption('seconds', 10, 1);
  const gateway = await openTarget();
  const url = gateway.urls[0] ?? '';
  try {
    const org = orgName(0);
    const authorization = `Bearer ${await producerToken()}`;
    const acknowledged = new Set<string>();
    const counts = { sent: 0, acknowledged: 0, refused: 0, duplicates: 0 };
    const setupClient = (client: autocannon.Client): void => {
      let id = '';
      client.setRequests([
        {
          method: 'POST',
          path: '/v1/publish',
          setupRequest: (request) => {
            counts.sent += 1;
            id = `load-${counts.sent}`;
            const event = { org, service, type: 'tick', id, payload: { revenue: 1250, currency: 'EUR' } };
            const headers = { authorization, 'content-type': 'application/json' };
            return { ...request, headers, body: JSON.stringify(event) };
          },
          onResponse: (status, body) => {
            const { results = [] } = JSON.parse(body) as { results?: { id: string; duplicate?: true }[] };
            if (status === 200 && results[0]?.id === id) {
              acknowledged.add(id);
              counts.acknowledged += 1;
              if (results[0].duplicate === true) counts.duplicates += 1;
            } else counts.refused += 1;
          },
        },
      ]);
    };
    const endProgress = progress(() => `${counts.acknowledged} acknowledged, ${counts.refused} refused`);
    const { errors, latency, requests } = await autocannon({
      url,
      connections: clients,
      overallRate: rate,
      duration: seconds,
      timeout: 10,
      setupClient,
    });
    endProgress();

    const ids = await readIds(url, org);
    const stored = new Set(ids);
    const missing = [...acknowledged].filter((id) => !stored.has(id)).length;
    const twice = ids.length - stored.size;
    return {
      about: {
        clients,
        rate,
        seconds,
        isOurs: gateway.isOurs,
        ...counts,
        requestsPerS: round(requests.average),
      },
      rows: [
        atMost('latency p99 of a publish', latency.p99, budgets.publishP99Ms, 'ms'),
        atMost(
          'acknowledged and not in the log, or there twice',
          missing + twice + counts.duplicates,
          budgets.wrongEvents,
          'events',
        ),
        atMost('error rate', errorRate(counts.refused + errors, counts.sent), budgets.errorPercent, '%'),
      ],
    };
  } finally {
    await gateway.stop();
  }
}
