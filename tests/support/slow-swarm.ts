/**
 * Streams that stop reading, in a process of their own, so that the gateway's memory and the others' latency are
 * measured alone. Driven over IPC; run by `forkSwarm`.
 */
import type { ServerFrame } from '../../schema/frames.ts';
import { StreamClient } from './stream-client.ts';
import { until } from './until.ts';

export type SwarmOrder =
  | {
      readonly do: 'open';
      readonly url: string;
      readonly tokens: readonly string[];
      readonly services: readonly string[];
    }
  | { readonly do: 'pause' }
  /** Streams number `from` up to, and without, `to` read again. */
  | { readonly do: 'resume'; readonly from: number; readonly to: number }
  /** Streams that were closed open again at their last cursor. */
  | { readonly do: 'reopen'; readonly from: number; readonly to: number }
  | { readonly do: 'report'; readonly from: number; readonly to: number };

export interface SwarmReport {
  readonly seqs: readonly number[];
  readonly closed: number | undefined;
  readonly reset: string | undefined;
}

interface Slow {
  readonly token: string;
  client: StreamClient;
  readonly seqs: number[];
  cursor: string;
  reset: string | undefined;
}

const opensAtOnce = 100;
const slow: Slow[] = [];
let url = '';
let services: readonly string[] = [];

/** Keeps what the checks need, and not the frames: they are large and many. */
function hear(one: Slow, frame: ServerFrame): void {
  one.client.frames.length = 0;
  one.client.texts.length = 0;
  if ('cursor' in frame) one.cursor = frame.cursor;
  if (frame.type === 'event') for (const { seq = 0 } of frame.events) one.seqs.push(seq);
  if (frame.type === 'reset') one.reset = frame.reason;
}

function connect(token: string, cursor?: string): StreamClient {
  return new StreamClient(url, {
    token,
    first: { services, version: 1, ...(cursor === undefined ? {} : { cursor }) },
  });
}

async function open(tokens: readonly string[]): Promise<void> {
  for (let from = 0; from < tokens.length; from += opensAtOnce)
    await Promise.all(
      tokens.slice(from, from + opensAtOnce).map(async (token) => {
        const client = connect(token);
        const one: Slow = { token, client, seqs: [], cursor: '', reset: undefined };
        client.onFrame = (frame) => hear(one, frame);
        slow.push(one);
        await until(
          () => one.cursor,
          'an ack',
          (seen) => seen !== '',
        );
      }),
    );
}

async function reopen(some: readonly Slow[]): Promise<void> {
  for (const one of some) {
    await until(
      () => one.client.closed,
      'the close',
      (seen) => seen !== undefined,
    );
    one.client = connect(one.token, one.cursor);
    one.client.onFrame = (frame) => hear(one, frame);
  }
}

async function obey(order: SwarmOrder): Promise<unknown> {
  switch (order.do) {
    case 'open':
      ({ url, services } = order);
      return open(order.tokens);
    case 'pause':
      for (const { client } of slow) client.pause();
      return undefined;
    case 'resume':
      for (const { client } of slow.slice(order.from, order.to)) client.resume();
      return undefined;
    case 'reopen':
      return reopen(slow.slice(order.from, order.to));
    case 'report':
      return slow
        .slice(order.from, order.to)
        .map(({ seqs, client, reset }): SwarmReport => ({ seqs, closed: client.closed?.code, reset }));
  }
}

process.on('message', (order: SwarmOrder) => {
  obey(order).then(
    (result) => process.send?.({ result: result ?? null }),
    (thrown: unknown) => process.send?.({ failed: String(thrown) }),
  );
});
process.on('disconnect', () => process.exit());
