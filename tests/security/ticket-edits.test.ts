/** A ticket opens a stream as it was signed, or not at all. */
import { createHmac, hkdfSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NegotiateResponse } from '../../schema/http.ts';
import { call } from '../support/http-client.ts';
import { openNode, type OwnNode } from '../support/own-node.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, type TestClaims, testSecret } from '../support/token-maker.ts';

const first = { services: ['chat'], version: 1 };
let node: OwnNode;
beforeAll(async () => {
  node = await openNode();
});
afterAll(() => node.drain());

async function ticketOf(claims: TestClaims = {}): Promise<string> {
  const token = await makeToken({ services: ['chat'], ...claims });
  const { body } = await call<NegotiateResponse>(`${node.url}/v2/realtime/negotiate`, { token, body: {} });
  return new URL(body.urls.websocket, node.url).searchParams.get('ticket') ?? '';
}
/** What a stream with it is closed with; undefined: it is opened. */
async function closeOf(ticket: string, headers: Record<string, string> = {}) {
  const stream = new StreamClient(node.url, { query: { ticket }, headers, first });
  try {
    await stream.next('ack');
    return undefined;
  } catch {
    return stream.closed;
  } finally {
    stream.destroy();
  }
}
const expired = { code: 4410, reason: 'ticket_expired' };
type Claims = Record<string, unknown>;
const read = (part = ''): Claims => JSON.parse(Buffer.from(part, 'base64url').toString()) as Claims;
const write = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

it('is good again and again, and at the same time', async () => {
  const ticket = await ticketOf();
  expect(await closeOf(ticket)).toBeUndefined();
  expect(await Promise.all([closeOf(ticket), closeOf(ticket)])).toEqual([undefined, undefined]);
});

describe('a ticket that was changed is refused', () => {
  it.each<[string, (claims: Claims) => Claims]>([
    ['its user', (claims) => ({ ...claims, sub: 'ben' })],
    ['its org', (claims) => ({ ...claims, org: 'other' })],
    ['its expiry', (claims) => ({ ...claims, exp: Number(claims['exp']) + 3600 })],
    ["its token's expiry", (claims) => ({ ...claims, tokenExpMs: 9e15 })],
    ['its services', (claims) => ({ ...claims, services: ['*'] })],
    ['its publish', (claims) => ({ ...claims, publish: ['*'] })],
    ['its roles', (claims) => ({ ...claims, roles: ['admin'] })],
    ['its assignment', (claims) => ({ ...claims, assignment: 1e9 })],
    ['where its claims are held', (claims) => ({ ...claims, held: 'x' })],
  ])('%s', async (_what, change) => {
    const [header, payload, signature] = (await ticketOf()).split('.');
    expect(await closeOf([header, write(change(read(payload))), signature].join('.'))).toEqual(expired);
  });

  it.each<[string, object, (text: string) => string]>([
    ['alg none', { alg: 'none', typ: 'turnout-ticket+jwt' }, () => ''],
    ['another typ', { alg: 'HS256', typ: 'JWT' }, (text) => hmac(text, ticketKey())],
    ['no typ', { alg: 'HS256' }, (text) => hmac(text, ticketKey())],
    [
      'the secret itself as its key',
      { alg: 'HS256', typ: 'turnout-ticket+jwt' },
      (text) => hmac(text, testSecret),
    ],
  ])('%s', async (_what, header, sign) => {
    const [, payload] = (await ticketOf()).split('.');
    const text = `${write(header)}.${payload}`;
    expect(await closeOf(`${text}.${sign(text)}`)).toEqual(expired);
  });

  it('a character of its signature, or half of it missing', async () => {
    const ticket = await ticketOf();
    const at = ticket.lastIndexOf('.') + 1;
    const other = ticket[at] === 'A' ? 'B' : 'A';
    for (const text of [
      ticket.slice(0, at) + other + ticket.slice(at + 1),
      ticket.slice(0, at),
      ticket.slice(0, at - 1),
      ticket.slice(0, -10),
      `${ticket}.${ticket}`,
      'x',
      '',
    ])
      expect(await closeOf(text), text.slice(-20)).toEqual(expired);
  });
});

it('a ticket beside the header of another user or org opens nothing', async () => {
  const ticket = await ticketOf();
  const beside = async (claims: TestClaims) =>
    closeOf(ticket, { authorization: `Bearer ${await makeToken(claims)}` });
  expect(await beside({})).toBeUndefined();
  for (const claims of [{ sub: 'ben' }, { org: 'other' }])
    expect(await beside(claims)).toEqual({ code: 4401, reason: 'unauthorized' });
});

it('a ticket is no token: not at any route, and not in an auth frame', async () => {
  const ticket = await ticketOf();
  for (const [method, path] of [
    ['GET', '/v1/realtime/poll?services=chat&wait=0'],
    ['POST', '/v2/realtime/negotiate'],
    ['POST', '/v2/realtime/publish'],
    ['POST', '/v1/publish'],
    ['GET', '/admin/v1/rollout'],
  ] as const)
    expect((await call(node.url + path, { method, token: ticket })).status, path).toBe(401);
  const stream = new StreamClient(node.url, { query: { ticket }, first });
  await stream.next('ack');
  stream.send({ type: 'auth', token: ticket });
  expect(await stream.next('error')).toMatchObject({ code: 'unauthorized', ref: 'auth' });
  stream.destroy();
});

const ticketKey = (): Buffer => Buffer.from(hkdfSync('sha256', testSecret, '', 'turnout-ticket', 32));
const hmac = (text: string, key: string | Buffer): string =>
  createHmac('sha256', key).update(text).digest('base64url');
