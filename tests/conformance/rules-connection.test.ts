/** The connection that hears of new rules, over a real Redis whose operator forgets a right and gives it later. */
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openRedis } from '../../src/redis.ts';
import { RulesConnection } from '../../src/rollout/rules-connection.ts';
import { until } from '../support/until.ts';
import { it } from './own-redis.ts';

it('hears a channel once it may, though it was refused at first', async ({ server, closers }) => {
  const setUser = (...words: string[]) => server.client.call('ACL', ['SETUSER', 'node', ...words]);
  await setUser('on', '>secret', '~*', '&*', '+@all', '-subscribe');
  const connection = openRedis({
    url: `redis://node:secret@127.0.0.1:${server.port}`,
    clock: systemClock,
    timeoutMs: 1000,
    onError: () => undefined,
  });
  const rules = new RulesConnection(connection, systemClock);
  closers.push(async () => {
    rules.close();
    connection.close();
  });
  const heard: string[] = [];
  rules.subscribe(
    'changed',
    (message) => heard.push(message),
    () => heard.push('it stands'),
  );
  const isRefused = async (): Promise<boolean> =>
    String(await server.client.call('ACL', ['LOG'])).includes('subscribe');
  await until(isRefused, 'the refusal');
  await setUser('+subscribe');
  await until(() => heard.length > 0, 'the subscription');
  await server.client.publish('changed', 'new rules');
  await until(() => heard.length > 1, 'the message');
  expect(heard).toEqual(['it stands', 'new rules']);
});
