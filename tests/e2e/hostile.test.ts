/** What the worst clients do to a node: each is answered with the right code, and everybody else goes on being served. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bystanders, startBystanders } from '../support/bystanders.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { type Close, StreamClient, openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

let gateway: Gateway;
let bystanders: Bystanders;
let token: string;
let silent: StreamClient;
beforeAll(async () => {
  gateway = await startGateway();
  bystanders = await startBystanders(gateway.url);
  token = await makeToken({ services: ['chat', 'chat/*'] });
  // Its ten seconds pass while the other cases run.
  silent = new StreamClient(gateway.url, { token });
});
afterEach(() => bystanders.expectServed());
afterAll(async () => {
  bystanders.close();
  await gateway.kill();
});

/** How a stream ends that sends `first` and nothing else. */
async function closeAfter(first: unknown): Promise<Close> {
  const client = new StreamClient(gateway.url, { token });
  await until(
    () => client.socket.readyState,
    'the upgrade',
    (seen) => seen === client.socket.OPEN,
  );
  client.socket.send(typeof first === 'string' ? first : JSON.stringify(first));
  return client.nextClose();
}

const opened = (services = ['chat']): Promise<StreamClient> => openStream(gateway.url, token, services);

describe('upgrades', () => {
  it('to // is answered, not left hanging', async () => {
    for (const path of ['//', '//evil', '/', '/nowhere', '/v2/realtime/stream/..']) {
      const raw = await openRaw(gateway.url, upgradeText(path));
      await until(
        () => raw.said(),
        `an answer to the upgrade of ${path}`,
        (seen) => seen !== '',
      );
      expect(raw.said(), path).toMatch(/^HTTP\/1\.1 4\d\d /);
      raw.socket.destroy();
    }
  });

  it('that are reset while the token is checked leave the node alive', async () => {
    const path = `/v2/realtime/stream?access_token=${token}`;
    for (let turn = 0; turn < 100; turn += 1) {
      const raw = await openRaw(gateway.url, upgradeText(path));
      if (turn % 2 === 0) await sleep(0);
      raw.socket.resetAndDestroy();
    }
    expect(gateway.isRunning).toBe(true);
  });

  it('that stop half-way hold nobody up', async () => {
    const whole = upgradeText('/v2/realtime/stream');
    const halves = await Promise.all(
      [10, 40, whole.length - 2].map((length) => openRaw(gateway.url, whole.slice(0, length))),
    );
    await bystanders.expectServed();
    for (const { socket } of halves) socket.resetAndDestroy();
  });

  it('to another protocol are answered, not left hanging', async () => {
    const h2c = {
      Connection: 'Upgrade, HTTP2-Settings',
      Upgrade: 'h2c',
      'HTTP2-Settings': 'AAMAAABkAAQAAP__',
    };
    for (const path of ['/healthz', '/v2/realtime/stream', '/v1/realtime/poll']) {
      const raw = await openRaw(gateway.url, upgradeText(path, h2c));
      await until(
        () => raw.said(),
        `an answer to h2c at ${path}`,
        (seen) => seen !== '',
      );
      expect(raw.said(), path).toMatch(/^HTTP\/1\.1 [24]\d\d /);
      raw.socket.destroy();
    }
  });

  it('with a broken WebSocket handshake get an HTTP status', async () => {
    for (const headers of [{ 'Sec-WebSocket-Version': '99' }, { 'Sec-WebSocket-Key': 'short' }]) {
      const raw = await openRaw(
        gateway.url,
        upgradeText(`/v2/realtime/stream?access_token=${token}`, headers),
      );
      await until(
        () => raw.said(),
        'an answer',
        (seen) => seen !== '',
      );
      expect(raw.said()).toMatch(/^HTTP\/1\.1 4\d\d .*\r\nSec-WebSocket-Version: 13\r\n/s);
      raw.socket.destroy();
    }
  });

  it('with offers of extensions that nobody understands are served as if those had not been made', async () => {
    const path = `/v2/realtime/stream?access_token=${token}`;
    const known = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
    for (const [offer, taken] of [
      ['permessage-deflate; server_max_window_bits=16', undefined],
      ['permessage-deflate; client_max_window_bits=8; client_max_window_bits=9', undefined],
      ['permessage-deflate; of=tomorrow, permessage-deflate', known],
      ['not at, all; an=offer,, ; permessage-deflate; client_max_window_bits', undefined],
      ['bbf-usp-protocol, permessage-deflate; client_max_window_bits', known],
      ['permessage-deflate; client_max_window_bits=10', `permessage-deflate; client_max_window_bits=10`],
    ] as const) {
      const raw = await openRaw(gateway.url, upgradeText(path, { 'Sec-WebSocket-Extensions': offer }));
      await until(() => raw.said().includes('\r\n\r\n'), 'an answer');
      expect(raw.said(), offer).toMatch(/^HTTP\/1\.1 101 /);
      const answered = /Sec-WebSocket-Extensions: (.*)\r\n/.exec(raw.said())?.[1];
      if (taken === undefined) expect(answered, offer).toBeUndefined();
      else expect(answered, offer).toContain(taken);
      raw.socket.destroy();
    }
  });
});

describe('first frames', () => {
  const chat = { services: ['chat'], version: 1 };
  it.each([
    ['garbage', '{"services":["chat"', 'bad_frame'],
    ['an array', '[{"services":["chat"],"version":1}]', 'bad_frame'],
    ['null', 'null', 'bad_frame'],
    ['a number', '1', 'bad_frame'],
    ['no version', { services: ['chat'] }, 'bad_frame'],
    ['another version', { ...chat, version: 2 }, 'bad_frame'],
    ['a version as text', { ...chat, version: '1' }, 'bad_frame'],
    ['no services', { version: 1 }, 'bad_frame'],
    ['empty services', { services: [], version: 1 }, 'bad_frame'],
    ['services as text', { services: 'chat', version: 1 }, 'bad_frame'],
    ['a service that is no name', { services: ['chat', 'Not A Name'], version: 1 }, 'bad_frame'],
    ['a service that is no text', { services: [7], version: 1 }, 'bad_frame'],
    [
      '101 services',
      { services: Array.from({ length: 101 }, (_, i) => `chat/${i}`), version: 1 },
      'bad_frame',
    ],
    ['no service of its claim', { services: ['finance', 'chats'], version: 1 }, 'service_forbidden'],
    ['a broken cursor', { ...chat, cursor: 'nonsense' }, 'bad_cursor'],
    ['a cursor of 10,000 characters', { ...chat, cursor: 'x'.repeat(10_000) }, 'bad_cursor'],
    ['a cursor that is a number', { ...chat, cursor: 5 }, 'bad_cursor'],
    ['a negative lastSeq', { ...chat, lastSeq: -1 }, 'bad_cursor'],
    ['a lastSeq as text', { ...chat, lastSeq: '2' }, 'bad_cursor'],
    ['a lastSeq with a fraction', { ...chat, lastSeq: 1.5 }, 'bad_cursor'],
  ])('with %s close 1008', async (_, first, reason) => {
    expect(await closeAfter(first)).toEqual({ code: 1008, reason });
  });

  it('over 128 KiB close 1009, binary ones 1003', async () => {
    expect(await closeAfter({ ...chat, pad: 'x'.repeat(1024 * 1024) })).toMatchObject({ code: 1009 });
    const client = new StreamClient(gateway.url, { token });
    await until(
      () => client.socket.readyState,
      'the upgrade',
      (seen) => seen === client.socket.OPEN,
    );
    client.socket.send(Buffer.from(JSON.stringify(chat)));
    expect(await client.nextClose()).toMatchObject({ code: 1003 });
  });

  it('with a __proto__ are taken for what they say and change nothing', async () => {
    const client = new StreamClient(gateway.url, { token });
    await until(
      () => client.socket.readyState,
      'the upgrade',
      (seen) => seen === client.socket.OPEN,
    );
    client.socket.send('{"services":["chat"],"version":1,"__proto__":{"lastSeq":-1,"isAdmin":true}}');
    expect((await client.next('ack')).seq).toBe(0);
    client.destroy();
  });

  it('with some services of its claim are taken, the others refused by an error after the ack', async () => {
    const client = await opened(['chat', 'finance']);
    expect(await client.next('error')).toMatchObject({ code: 'service_forbidden', ref: 'finance' });
    expect(client.frames.map(({ type }) => type)).toEqual(['ack', 'error']);
    client.destroy();
  });

  it('with a lastSeq far ahead are acknowledged at the head and told reset ahead', async () => {
    const client = await openStream(gateway.url, token, ['chat'], { lastSeq: 9_007_199_254_740_991 });
    const ack = await client.next('ack');
    expect(await client.next('reset')).toMatchObject({ reason: 'ahead', seq: ack.seq, cursor: ack.cursor });
    client.destroy();
  });

  it('with a cursor of another org are told reset epoch', async () => {
    const other = await openStream(gateway.url, await makeToken({ org: 'other' }), ['chat']);
    const { cursor } = await other.next('ack');
    other.destroy();
    const client = await openStream(gateway.url, token, ['chat'], { cursor });
    const ack = await client.next('ack');
    expect(await client.next('reset')).toMatchObject({
      reason: 'epoch',
      cursor: ack.cursor,
      epoch: ack.epoch,
    });
    client.destroy();
  });
});

describe('later frames', () => {
  it.each([
    ['garbage', 'not json', { code: 1008, reason: 'bad_frame' }],
    ['an array', '[]', { code: 1008, reason: 'bad_frame' }],
    ['a second first frame', '{"services":["chat"],"version":1}', { code: 1008, reason: 'bad_frame' }],
    ['a type that is no text', '{"type":1}', { code: 1008, reason: 'bad_frame' }],
    ['one of 1 MB', JSON.stringify({ type: 'pong', pad: 'x'.repeat(1024 * 1024) }), { code: 1009 }],
  ])('with %s end the stream', async (_, text, close) => {
    const client = await opened();
    client.socket.send(text);
    expect(await client.nextClose()).toMatchObject(close);
  });

  it('in binary end the stream with 1003', async () => {
    const client = await opened();
    client.socket.send(Buffer.alloc(8));
    expect(await client.nextClose()).toMatchObject({ code: 1003 });
  });

  it('of an unknown type or with bad fields are errors, and the stream lives', async () => {
    const client = await opened();
    client.send({ type: 'dance' });
    client.send({ type: 'subscribe', services: 'chat' });
    client.send({ type: 'subscribe', services: ['Not A Name'] });
    client.send({ type: 'publish', id: 'p-1', service: 'chat' });
    client.send({ type: 'toString' });
    client.send({ type: '__proto__' });
    await client.next('error', 6);
    expect(client.ofType('error').map(({ code }) => code)).toEqual([
      'unknown_type',
      'bad_field',
      'bad_field',
      'bad_field',
      'unknown_type',
      'unknown_type',
    ]);
    client.send({ type: 'subscribe', services: ['chat/1'] });
    await client.next('ack', 2);
    client.destroy();
  });

  it('that are wrong more than 100 times are flooding', async () => {
    const client = await opened();
    for (let turn = 0; turn < 100; turn += 1) client.send({ type: 'dance' });
    await client.next('error', 100);
    expect(client.closed).toBeUndefined();
    client.send({ type: 'dance' });
    expect(await client.nextClose()).toEqual({ code: 1008, reason: 'flooding' });
  });

  it('to subscribe 10,000 times are flooding', async () => {
    const client = await opened();
    for (let turn = 0; turn < 10_000 && client.closed === undefined; turn += 1)
      client.send({ type: 'subscribe', services: [`chat/${turn % 50}`] });
    expect(await client.nextClose()).toEqual({ code: 1008, reason: 'flooding' });
    expect(client.ofType('ack').length).toBeLessThanOrEqual(501);
  });
});

it('a stream without a first frame is closed 4408 after ten seconds', async () => {
  expect(await silent.nextClose()).toEqual({ code: 4408, reason: 'handshake_timeout' });
  expect(silent.frames).toEqual([]);
});
