/**
 * The golden frames are what the gateway sends, byte for byte, over both transports: a published event, a real node on
 * loopback, its time, ids and tags given. Each file is one frame in one line, without a line end.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '../../schema/envelope.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { goldenEvents, goldenLog, goldenMs, goldenOrg } from '../support/golden-events.ts';
import { call } from '../support/http-client.ts';
import { root } from '../support/sources.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeProducerToken, makeToken, testSecret } from '../support/token-maker.ts';

const names = Object.keys(goldenEvents);
const goldenText = (name: string): Promise<string> =>
  readFile(join(root, 'tests/golden/ws/v1.0', `${name}.json`), 'utf8');
/** The event's own bytes inside its frame. */
const eventOf = (frame: string): string => frame.slice(frame.indexOf('[') + 1, frame.lastIndexOf('],"seq":'));

const exp = goldenMs / 1000 + 3600;
const clock = { ...systemClock, now: () => goldenMs };

describe('a golden frame', () => {
  let gateway: Gateway;
  let client: StreamClient;
  let token: string;

  beforeAll(async () => {
    const config = readConfig({
      TURNOUT_PORT: '0',
      TURNOUT_JWT_SECRET: testSecret,
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '100',
    });
    gateway = await openGateway({ config, clock, logger: createLogger('silent'), log: goldenLog(clock) });
    token = await makeToken({ org: goldenOrg, exp });
    client = new StreamClient(gateway.url, { token, first: { services: ['chat'], version: 1 } });
    await client.next('ack');
    const producer = await makeProducerToken({ org: goldenOrg, exp });
    for (const [index, body] of Object.values(goldenEvents).entries()) {
      const answer = await call(`${gateway.url}/v1/publish`, { token: producer, body });
      if (answer.status !== 200) throw new Error(answer.text);
      await client.next('event', index + 1);
    }
  });

  afterAll(async () => {
    client.destroy();
    await gateway.drain();
  });

  it.each(names)('%s is what a stream is sent', async (name) => {
    const frames = client.texts.filter((text) => text.startsWith('{"type":"event"'));
    expect(frames[names.indexOf(name)]).toBe(await goldenText(name));
  });

  it.each(names)('%s holds the event that a poll answers', async (name) => {
    const place = names.indexOf(name);
    const query = `services=chat&lastSeq=${place}&limit=1&wait=0`;
    const { text } = await call(`${gateway.url}/v1/realtime/poll?${query}`, { token });
    const golden = await goldenText(name);
    expect(text.startsWith(`{"events":[${eventOf(golden)}],`)).toBe(true);
    const { cursor } = JSON.parse(golden) as { cursor: string };
    expect(JSON.parse(text)).toMatchObject({ cursor, seq: place + 1 });
  });

  it.each(names)('%s is one line without its end', async (name) => {
    expect(await goldenText(name)).toMatch(/^\{[^\n]*\}$/);
  });

  it.each(names)('%s is valid by the schemas of version 1.0', async (name) => {
    const [event] = (JSON.parse(await goldenText(name)) as { events: Envelope[] }).events;
    const ajv = new Ajv2020({ strict: true, strictRequired: false });
    formats.default(ajv);
    const schemas = ['envelope', ...(event?.type === 'assistant_message' ? ['assistant_message'] : [])];
    for (const schema of schemas) {
      const text = await readFile(join(root, `schema/ws/1.0/${schema}.schema.json`), 'utf8');
      const validate = ajv.compile(JSON.parse(text));
      expect(validate(event), ajv.errorsText(validate.errors)).toBe(true);
    }
  });
});
