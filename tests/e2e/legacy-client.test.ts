/** The company's own polling client goes on working, whatever the rollout does and whatever becomes of the node. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { startGateway } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { Publisher, admin } from '../support/publisher.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

async function startLegacyClient(url: string, services: string) {
  const args = ['dist/clients/legacy/main.js', url, await makeToken(), services];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [events, said]: [{ seq: number; service: string }[], string[]] = [[], []];
  createInterface({ input: child.stdout }).on('line', (line) => {
    // Each line is an event as the client received it.
    events.push(JSON.parse(line) as { seq: number; service: string });
  });
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  return { child, events, said };
}

it('receives its events once and in order through a rollout, a kill and a restart of the node', async () => {
  const place = { TURNOUT_PORT: String(await freePort()) };
  const gateway = await startGateway({ ...place, REALTIME_ROLLOUT_PERCENT: '50' });
  const client = await startLegacyClient(gateway.url, 'chat,news');
  let restarted: typeof gateway | undefined;
  try {
    const publisher = new Publisher(gateway.url);
    // Until its first poll has placed it there is nothing that is its.
    await until(async () => {
      await publisher.publish({ service: 'chat', type: 'probe' });
      return client.events.length > 0;
    }, 'its first event');
    const first = client.events[0]?.seq ?? 0;
    const changes = [
      () => admin(gateway.url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' }),
      () => admin(gateway.url, 'POST', '/rollout/kill', { reason: 'test' }),
      () => admin(gateway.url, 'POST', '/rollout/unkill', { reason: 'test' }),
    ];
    for (const change of changes) {
      await publisher.publish({ service: 'chat' }, { service: 'finance' }, { service: 'news', to: ['bob'] });
      expect((await change()).status).toBe(200);
      await publisher.publish({ service: 'news' });
    }
    const expected = publisher.expected('ann', ['chat', 'news'], first - 1);
    await until(
      () => client.events.length,
      'all events',
      (seen) => seen >= expected.length,
    );
    expect(client.events.map(({ seq }) => seq)).toEqual(expected);
    expect(client.said).toEqual([]);

    await gateway.kill();
    await until(() => client.said.some((line) => line.includes('next try')), 'its back-off');
    restarted = await startGateway(place);
    await until(() => client.said.some((line) => line.includes('(epoch)')), 'its reset');
    await new Publisher(restarted.url).publish({ service: 'chat' });
    await until(
      () => client.events.length,
      'the event after the restart',
      (seen) => seen > expected.length,
    );
    expect(client.events.at(-1)).toMatchObject({ seq: 1, service: 'chat' });
  } finally {
    client.child.kill('SIGKILL');
    await gateway.kill();
    await restarted?.kill();
  }
});
