/** What a node says of rules that it can't reach, with no Redis where it looks for one. */
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openRedis } from '../../../src/redis/connections.ts';
import { RedisScript } from '../../../src/redis/script.ts';
import { RulesConnection } from '../../../src/rollout/rules/connection.ts';

it('names the cause: not that a command found no connection', async () => {
  const connection = openRedis({
    url: 'redis://127.0.0.1:1',
    clock: systemClock,
    timeoutMs: 1000,
    onError: () => undefined,
  });
  const rules = new RulesConnection(connection, systemClock);
  const asked = rules.run(new RedisScript('one', 'return 1'), [], []);
  await expect(asked).rejects.toThrow('ECONNREFUSED');
  rules.close();
  connection.close();
});
