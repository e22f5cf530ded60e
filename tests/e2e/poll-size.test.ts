/** How large an answer of a poll may grow: 1 MiB as it goes over the wire, whatever is in it (docs/PROTOCOL.md, 7). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { Publisher, metric } from '../support/publisher.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.kill());

it('counts what stands around the events as well', async () => {
  const publisher = new Publisher(gateway.url, 'commas');
  const token = await makeToken({ org: publisher.org });
  let made = 0;
  const batch = (payload: string) =>
    Array.from({ length: 250 }, () => ({ service: 'chat', id: `id-${(made += 1) + 10_000}`, payload }));
  // From here on seqs have four digits, so that every event is as long as the next.
  for (let turn = 0; turn < 4; turn += 1) await publisher.publish(...batch(''));
  const probe = await poll(gateway.url, token, { services: 'chat', lastSeq: 999, limit: 1 });
  const around = Buffer.byteLength(JSON.stringify(probe.body.events[0]));
  // 1,000 events that are just under 1 MiB: only their commas and the cursor are too many.
  const pad = 'x'.repeat(Math.floor(limits.pollBytes / limits.pollEvents) - around);
  for (let turn = 0; turn < 4; turn += 1) await publisher.publish(...batch(pad));
  const answer = await poll(gateway.url, token, { services: 'chat', lastSeq: 1000, limit: 1000 });
  expect(answer.body.events.length).toBeGreaterThan(900);
  expect(Buffer.byteLength(answer.text)).toBeLessThanOrEqual(limits.pollBytes);
});

it('counts ephemeral events, which a held poll gathers for a second', async () => {
  const publisher = new Publisher(gateway.url, 'typing');
  const token = await makeToken({ org: publisher.org });
  const { body } = await poll(gateway.url, token, { services: 'chat' });
  const held = poll(gateway.url, token, { services: 'chat', cursor: body.cursor, wait: 10 });
  await until(() => metric(gateway.url, 'turnout_polls_held'), 'the held poll');
  for (let turn = 0; turn < 4; turn += 1)
    await publisher.publish(
      ...Array.from({ length: 15 }, (_, index) => ({
        service: 'chat',
        ephemeral: true,
        payload: `${turn}-${index}-${'x'.repeat(60_000)}`,
      })),
    );
  const answer = await held;
  expect(answer.body.ephemeral?.length).toBeGreaterThan(0);
  expect(Buffer.byteLength(answer.text)).toBeLessThanOrEqual(limits.pollBytes);
});
