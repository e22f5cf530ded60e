/**
 * Hostile and broken answers of an upstream: the client always gets one, the upstream's own bytes where they are HTTP, else
 * 502, else a cut; nobody gets another's; and nothing stays behind.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { LegacyExchange } from '../../src/legacy/proxy/exchange.ts';
import { Relay } from '../../src/legacy/proxy/relay.ts';
import { call, type ErrorAnswer } from '../support/http-client.ts';
import { type LegacyNode, openLegacyNode, plainProfile } from '../support/legacy-node.ts';
import { exchangeRaw } from '../support/raw-socket.ts';
import { answerText, RawUpstream } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';

let upstream: RawUpstream;
let node: LegacyNode;
/** Bytes of the next answer, each a character; then the upstream closes. */
let next = '';

beforeAll(async () => {
  upstream = await RawUpstream.open((socket, head) => {
    if (head.startsWith('GET /api/next')) return void socket.write(answerText('200 OK', [], 'the next'));
    socket.end(Buffer.from(next, 'latin1'));
  });
  node = await openLegacyNode(plainProfile(upstream.url), { bounds: { silenceMs: 2000 } });
});
afterAll(async () => {
  expect(node.passthrough.open).toBe(0);
  await node.close();
  upstream.close();
});

async function answerTo(bytes: string): Promise<string> {
  next = bytes;
  const said = await exchangeRaw(node.url, 'GET /api/x HTTP/1.1\r\nHost: old\r\nConnection: close\r\n\r\n');
  // Whatever it was: it is over, and the next client is given its own.
  await until(() => node.passthrough.open, 'nothing open', 0);
  expect((await call(`${node.url}/api/next`)).text).toBe('the next');
  return said;
}

const utf8 = (text: string): string => Buffer.from(text).toString('latin1');
const twoBytes = 'Content-Length: 2\r\n\r\nok';
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

describe('an answer with an odd first line passes as it is:', () => {
  it.each([
    ['a phrase in UTF-8', utf8('HTTP/1.1 403 Größe ☃'), utf8('HTTP/1.1 403 Größe ☃')],
    [
      'a phrase in Latin-1: what is no UTF-8 becomes ?',
      'HTTP/1.1 403 verweig\xe9rt',
      'HTTP/1.1 403 verweig?rt',
    ],
    ['a control character in its phrase', 'HTTP/1.1 403 a\x01b', 'HTTP/1.1 403 a?b'],
    ['a NUL in its phrase', 'HTTP/1.1 403 a\0b', 'HTTP/1.1 403 a?b'],
    ['a DEL in its phrase', 'HTTP/1.1 403 a\x7fb', 'HTTP/1.1 403 a?b'],
    ['an empty phrase', 'HTTP/1.1 200 ', 'HTTP/1.1 200 '],
    ['no phrase', 'HTTP/1.1 200', 'HTTP/1.1 200 '],
    ['status 600', 'HTTP/1.1 600 Odd', 'HTTP/1.1 600 Odd'],
    ['status 999', 'HTTP/1.1 999 Odd', 'HTTP/1.1 999 Odd'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK', 'HTTP/1.1 200 OK'],
    ['lines before it', '\r\n\r\nHTTP/1.1 200 OK', 'HTTP/1.1 200 OK'],
    ['a 102 before it', 'HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK', 'HTTP/1.1 200 OK'],
    ['a 199 before it', 'HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK', 'HTTP/1.1 200 OK'],
  ])('%s', async (_, first, passed) => {
    const said = await answerTo(`${first}\r\n${twoBytes}`);
    expect(said.slice(0, said.indexOf('\r\n'))).toBe(passed);
    expect(said).toMatch(/\r\n\r\nok$/);
  });
});

it('a header value passes in the bytes that it came in', async () => {
  const value = utf8('Grüße ☃') + '\xe9\xff';
  expect(await answerTo(`HTTP/1.1 200 OK\r\nX-A: ${value}\r\n${twoBytes}`)).toContain(`X-A: ${value}\r\n`);
});

describe('an answer that is not HTTP is 502:', () => {
  const withHeader = (line: string): string => `HTTP/1.1 200 OK\r\n${line}\r\n${twoBytes}`;
  const withLength = (length: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\nok`;
  it.each([
    ['status 000', `HTTP/1.1 000 X\r\n${twoBytes}`],
    ['status 099', `HTTP/1.1 099 X\r\n${twoBytes}`],
    ['status 1000', `HTTP/1.1 1000 X\r\n${twoBytes}`],
    ['a status of two digits', `HTTP/1.1 20 X\r\n${twoBytes}`],
    ['101, which nobody asked for', 'HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nok'],
    ['100, which nobody asked for', `HTTP/1.1 100 X\r\n\r\nHTTP/1.1 200 OK\r\n${twoBytes}`],
    ['no status line', 'ok'],
    ['the protocol in small letters', `http/1.1 200 OK\r\n${twoBytes}`],
    ['another protocol', `ICY 200 OK\r\n${twoBytes}`],
    ['HTTP/9.9', `HTTP/9.9 200 OK\r\n${twoBytes}`],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['nothing', ''],
    ['line feeds alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
    ['a blank in a header name', withHeader('X Bad: 1')],
    ['a blank before the colon', withHeader('X-Bad : 1')],
    ['no colon', withHeader('NoColon')],
    ['an empty header name', withHeader(': 1')],
    ['a folded header', withHeader('X-A: 1\r\n  folded')],
    ['a header name beyond ASCII', withHeader('X-\xe9: 1')],
    ['a control character in a value', withHeader('X-A: a\x01b')],
    ['a NUL in a value', withHeader('X-A: a\0b')],
    ['a lone CR in a value', withHeader('X-A: a\rSet-Cookie: b=1')],
    ['a lone LF in a value', withHeader('X-A: a\nSet-Cookie: b=1')],
    ['a length with a sign', withLength('+2')],
    ['a negative length', withLength('-2')],
    ['a length in hex', withLength('0x2')],
    ['a list of lengths', withLength('2, 2')],
    ['a length twice', withHeader('Content-Length: 2')],
    ['an empty length', withLength('')],
    ['a length beyond numbers', withLength('99999999999999999999')],
  ])('%s', async (_, bytes) => {
    const said = await answerTo(bytes);
    expect(said).toMatch(/^HTTP\/1\.1 502 /);
    expect(said).toContain('"code":"upstream_unreachable"');
    expect(said).not.toMatch(/set-cookie|127\.0\.0\.1/i);
  });
});

describe('an answer whose body is broken never ends as if it were whole:', () => {
  it.each([
    ['a chunk size beyond numbers', 'ffffffffffffffffff\r\nok\r\n0\r\n\r\n'],
    ['a negative chunk size', '-2\r\nok\r\n0\r\n\r\n'],
    ['a chunk size with 0x', '0x2\r\nok\r\n0\r\n\r\n'],
    ['a chunk without its end', '2\r\nok0\r\n\r\n'],
    ['chunks with line feeds alone', '2\nok\n0\n\n'],
    ['no last chunk', '2\r\nok\r\n'],
  ])('%s', async (_, body) => {
    const said = await answerTo(chunked + body);
    expect(said).toMatch(/^HTTP\/1\.1 200 /);
    expect(said).not.toMatch(/0\r\n\r\n$/);
  });
});

describe('an answer is framed anew, so that no client reads its end elsewhere:', () => {
  it.each([
    ['trailers stay here', `${chunked}2\r\nok\r\n0\r\nSet-Cookie: x=1\r\n\r\n`],
    ['extensions of chunks stay here', `${chunked}2;Set-Cookie=x\r\nok\r\n0\r\n\r\n`],
    [
      'chunked twice',
      chunked.replace('\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n') + '2\r\nok\r\n0\r\n\r\n',
    ],
    ['a Connection that names the length', `HTTP/1.1 200 OK\r\nConnection: Content-Length\r\n${twoBytes}`],
  ])('%s', async (_, bytes) => {
    const said = await answerTo(bytes);
    expect(said).toMatch(/Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n$/);
    expect(said).not.toMatch(/set-cookie/i);
  });

  it.each([
    ['204', 'HTTP/1.1 204 No Content'],
    ['304', 'HTTP/1.1 304 Not Modified'],
  ])('%s with a body has none', async (_, first) => {
    expect(await answerTo(`${first}\r\n${twoBytes}`)).toMatch(/\r\n\r\n$/);
  });

  it('a second answer that nobody asked for reaches nobody', async () => {
    const said = await answerTo(
      `HTTP/1.1 200 OK\r\n${twoBytes}HTTP/1.1 200 OK\r\n${twoBytes.replace('ok', 'no')}`,
    );
    expect(said).toMatch(/\r\n\r\nok$/);
  });
});

it("an answer that cannot be written is 502, and so is what a profile's words cannot say", async () => {
  // As undici does it: what `onResponseStart` throws is told to `onResponseError`.
  const server = createServer((request, response) => {
    const relay: Relay = new Relay({
      exchange: new LegacyExchange(plainProfile('http://127.0.0.1:1'), request, response, {
        network: undefined,
        bodyMs: 10_000,
        clock: systemClock,
      }),
      silenceMs: 1000,
      mustClose: () => false,
      clock: systemClock,
      refuse: (exchange, error) => void exchange.response.writeHead(502).end(error.code),
      onEnd: () => undefined,
      dispatch: () => {
        // All of a controller that is asked for here.
        const controller = { rawHeaders: [Buffer.from('X-A'), Buffer.from('a\x01b')] } as never;
        try {
          relay.onResponseStart(controller, 200, {}, 'OK');
        } catch (thrown) {
          relay.onResponseError(controller, thrown as Error);
        }
      },
    });
    relay.send();
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const told = await exchangeRaw(
    `http://127.0.0.1:${port}`,
    'GET / HTTP/1.1\r\nHost: old\r\nConnection: close\r\n\r\n',
  );
  expect(told).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n.*upstream_unreachable/s);

  const profile = plainProfile('http://127.0.0.1:1');
  profile.response.error['502'] = { status: 502, headers: { 'x-old': '\u2603' }, body: undefined };
  const speechless = await openLegacyNode(profile);
  onTestFinished(() => speechless.close());
  const { status, body } = await call<ErrorAnswer>(`${speechless.url}/api/updates`);
  expect([status, body.error.code]).toEqual([502, 'upstream_unreachable']);
});
