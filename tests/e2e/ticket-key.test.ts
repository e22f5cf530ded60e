/** Nodes that verify tokens with a public key and share a Redis: a ticket of one opens a stream at the other. */
import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterEach, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { StreamClient } from '../support/stream-client.ts';
import { until } from '../support/until.ts';

const nodes: Gateway[] = [];
let redis: RedisServer | undefined;
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
  await redis?.stop();
});

it('a ticket of one node opens a stream at the other', async () => {
  redis = await RedisServer.start();
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const settings = {
    TURNOUT_JWT_SECRET: undefined,
    TURNOUT_JWT_PUBLIC_KEY: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    TURNOUT_REDIS_URL: redis.url,
  };
  nodes.push(await startGateway(settings), await startGateway(settings));
  const token = await new SignJWT({ org: 'acme' })
    .setProtectedHeader({ alg: 'EdDSA' })
    .setSubject('ann')
    .setExpirationTime('1h')
    .sign(privateKey);

  const [one, other] = nodes;
  let opened = 0;
  await until(async () => {
    const answer = await fetch(`${one?.url}/v2/realtime/negotiate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    const { urls } = (await answer.json()) as { urls: { websocket: string } };
    const stream = new StreamClient(other?.url ?? '', {
      path: urls.websocket,
      first: { services: ['chat'], version: 1 },
    });
    await until(() => stream.frames.length > 0 || stream.closed !== undefined, 'an ack or a close');
    if (stream.frames[0]?.type === 'ack') opened += 1;
    stream.destroy();
    return opened > 0;
  }, 'the shared key');
  expect(opened).toBe(1);

  // An emptied Redis is given the key that the nodes have: another would part them until all had heard of it.
  const { client } = redis;
  const shared = await client.get('turnout:ticket-key');
  await client.flushall();
  await until(() => client.exists('turnout:ticket-key'), 'the key to be back', 1);
  expect(await client.get('turnout:ticket-key')).toBe(shared);
});
