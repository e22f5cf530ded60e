/** Refusals say what they are: the one error body, the reason beside each close code, nothing half understood. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ErrorAnswer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

const path = '/v2/realtime/stream';
let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.kill());

it.each([
  ['without a key', upgradeText(path, { 'Sec-WebSocket-Key': '' })],
  ['of another version', upgradeText(path, { 'Sec-WebSocket-Version': '7' })],
  ['by POST', upgradeText(path).replace('GET', 'POST')],
])('an upgrade %s is refused with the error body', async (_what, text) => {
  const raw = await openRaw(gateway.url, text);
  await until(() => raw.isClosed(), 'the answer');
  const [head = '', body = ''] = raw.said().split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(head).toContain('application/json');
  const { error } = JSON.parse(body) as ErrorAnswer;
  expect(error.code).not.toBe('');
  expect(error.requestId).not.toBe('');
});

it('a frame over 128 KiB is closed with its reason', async () => {
  const stream = await openStream(gateway.url, await makeToken(), ['chat']);
  stream.socket.send('x'.repeat(128 * 1024 + 1));
  expect(await stream.nextClose()).toEqual({ code: 1009, reason: 'too_large' });
});

it('a poll that gives services twice is refused, or reads both', async () => {
  const token = await makeToken();
  const url = `${gateway.url}/v1/realtime/poll`;
  const body = [{ service: 'chat' }, { service: 'finance' }].map((event) => ({
    type: 't',
    payload: 1,
    ...event,
  }));
  const producer = await makeToken({ sub: 'backend', roles: ['producer'] });
  expect((await call(`${gateway.url}/v1/publish`, { token: producer, body: { events: body } })).status).toBe(
    200,
  );
  const answer = await call<{ events?: { service: string }[] }>(
    `${url}?services=chat&services=finance&cursor=earliest&wait=0`,
    { token },
  );
  const read = answer.body.events?.map(({ service }) => service);
  expect(answer.status === 400 || read?.join() === 'chat,finance', answer.text).toBe(true);
});

it('a caller who hangs up in the middle of a body is no fault of the node', async () => {
  const head = [
    'POST /v1/publish HTTP/1.1',
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    `Authorization: Bearer ${await makeToken({ sub: 'backend', roles: ['producer'] })}`,
  ].join('\r\n');
  for (const rest of ['Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n', 'Content-Length: 100\r\n\r\n{"']) {
    const { socket } = await openRaw(gateway.url, `${head}\r\n${rest}`);
    // By then it waits for the rest.
    await sleep(100);
    socket.destroy();
  }
  const counted = async () => (await call(`${gateway.url}/metrics`)).text;
  const ended = /^turnout_http_requests_total\{route="\/v1\/publish",status="(?:400|500)"\} 2$/m;
  await until(async () => ended.test(await counted()), 'both to be given up');
  expect(gateway.logs.filter(({ level }) => level === 'error')).toEqual([]);
});

it('the events of a stranger are not read, whichever way their length is told', async () => {
  const head = 'POST /v1/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n';
  for (const rest of ['Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n', 'Content-Length: 100\r\n\r\n{"']) {
    const raw = await openRaw(gateway.url, head + rest);
    await until(() => raw.said().includes('"code"'), 'the refusal');
    expect(raw.said()).toMatch(/^HTTP\/1\.1 401 /);
    raw.socket.destroy();
  }
});
