/** Publishers of the demo's crowd: made-up events over HTTP, each tried with the same id until it was acknowledged. */
import { type Clock, pause } from '../clock.ts';

export interface PublisherOptions {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly services: readonly string[];
  readonly onPublished: (service: string, seq: number) => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** Between two events of one org: three events a second in two orgs. */
const betweenMs = { least: 400, most: 900 };
const retryMs = 1000;

const guests = ['Ada', 'Grace', 'Linus', 'Margaret', 'Edsger', 'Barbara'];
const samples: Readonly<Record<string, (count: number) => { type: string; payload: object }>> = {
  finance: (count) => ({ type: 'revenue', payload: { amount: 100 + ((count * 37) % 900), currency: 'USD' } }),
  guest: (count) => ({
    type: 'check_in',
    payload: { guest: guests[count % guests.length], room: 100 + (count % 80) },
  }),
  staff: (count) => ({
    type: count % 2 === 0 ? 'clock_in' : 'clock_out',
    payload: { name: guests[(count * 5) % guests.length] },
  }),
};

export async function publishForever(options: PublisherOptions): Promise<void> {
  const { services, signal, clock, onPublished } = options;
  for (let count = 1; !signal.aborted; count += 1) {
    const service = services[Math.floor(clock.random() * services.length)] ?? '';
    const sample = samples[service]?.(count) ?? { type: 'event', payload: { count } };
    const event = { id: clock.id(), service, ...sample };
    let seq: number | undefined;
    while (seq === undefined && !signal.aborted) {
      seq = await publish(options, event);
      if (seq === undefined) await pause(clock, retryMs);
    }
    if (seq !== undefined) onPublished(service, seq);
    await pause(clock, betweenMs.least + clock.random() * (betweenMs.most - betweenMs.least));
  }
}

/** @returns undefined where nobody can say whether the gateway has it: the same id again tells. */
async function publish(
  { url, token, org, signal }: PublisherOptions,
  event: object,
): Promise<number | undefined> {
  try {
    const answer = await fetch(`${url}/v1/publish`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ org, ...event }),
      signal,
    });
    if (!answer.ok) return undefined;
    const { results } = (await answer.json()) as { results: { seq?: number }[] };
    return results[0]?.seq;
  } catch {
    // Cut off or ended; the caller asks again unless it was ended.
    return undefined;
  }
}
