/** The shell around the routes: one form for what goes wrong, ids, CORS, limits (docs/PROTOCOL.md, 5 and 13). */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { systemClock } from '../../src/clock.ts';
import { createRequestLimits } from '../../src/http/limits.ts';
import { originPolicy } from '../../src/http/origins.ts';
import { openServer } from '../../src/http/server.ts';
import { fail } from '../../src/errors.ts';
import { edgeApp, type EdgeOptions } from '../support/edge-app.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { openRaw } from '../support/raw-socket.ts';
import { openConnections } from '../support/http-connections.ts';

describe('an error', () => {
  it('has one form, with what to do about it and the id of the request', async () => {
    const { app } = edgeApp();
    const response = await app.request('/nowhere', { headers: { 'x-request-id': 'abc-1' } });
    expect(response.status).toBe(404);
    expect(response.headers.get('x-request-id')).toBe('abc-1');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toEqual({
      error: { code: 'not_found', message: 'there is nothing here', retry: 'never', requestId: 'abc-1' },
    });
  });

  it('gets an id of ours where the caller’s is none', async () => {
    const { app } = edgeApp();
    const response = await app.request('/nowhere', { headers: { 'x-request-id': 'a"b\\c' } });
    expect(response.headers.get('x-request-id')).toMatch(/^id-\d+$/);
  });

  it('of ours stays inside: the log has it, the caller an id', async () => {
    const { app, lines } = edgeApp();
    app.get('/broken', () => {
      throw new Error('the password is swordfish');
    });
    const response = await app.request('/broken', { headers: { 'x-request-id': 'r-7' } });
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).not.toContain('swordfish');
    expect(text).toContain('"code":"internal"');
    expect(lines.at(-1)).toContain('r-7');
    expect(lines.at(-1)).toContain('swordfish');
    expect(lines.at(-1)).toContain('"level":"error"');
  });

  it('that will pass says when to come back', async () => {
    const { app } = edgeApp();
    app.get('/full', () => {
      throw fail('overloaded', undefined, { retryAfterS: 7 });
    });
    app.get('/away', () => {
      throw fail('log_unavailable');
    });
    expect((await app.request('/full')).headers.get('retry-after')).toBe('7');
    expect((await app.request('/away')).headers.get('retry-after')).toBe('1');
  });

  it('tells a wrong method from a path where nothing is', async () => {
    const { app } = edgeApp();
    const response = await app.request('/v1/publish');
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await response.json()).toMatchObject({ error: { code: 'method_not_allowed' } });
    expect((await app.request('/v1/publish/x', { method: 'POST' })).status).toBe(404);
  });

  it('asks for an upgrade where the stream is', async () => {
    const response = await edgeApp().app.request('/v2/realtime/stream?access_token=x');
    expect(response.status).toBe(426);
    expect(response.headers.get('upgrade')).toBe('websocket');
    expect(await response.json()).toMatchObject({ error: { code: 'upgrade_required' } });
  });
});

describe('a token', () => {
  it('is read from the header alone', async () => {
    const { app, token } = edgeApp();
    const text = await token();
    const ask = (path: string, authorization?: string) =>
      app.request(path, authorization === undefined ? {} : { headers: { authorization } });
    expect((await ask('/v2/realtime/metrics', `Bearer ${text}`)).status).toBe(200);
    expect((await ask('/v2/realtime/metrics', `bearer ${text}`)).status).toBe(200);
    for (const response of [
      await ask(`/v2/realtime/metrics?access_token=${text}`),
      await ask('/v2/realtime/metrics', text),
      await ask('/v2/realtime/metrics', 'Basic dTpw'),
      await ask('/v2/realtime/metrics'),
    ]) {
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await response.json()).toMatchObject({ error: { code: 'unauthorized', retry: 'reauth' } });
    }
  });
});

describe('a base path', () => {
  it('stands before every route, and nothing is served without it', async () => {
    const { app, token } = edgeApp({ basePath: '/rt' });
    const headers = { authorization: `Bearer ${await token()}` };
    expect((await app.request('/rt/v2/realtime/metrics', { headers })).status).toBe(200);
    expect((await app.request('/v2/realtime/metrics', { headers })).status).toBe(404);
    expect((await app.request('/rt/v1/publish')).status).toBe(405);
    expect((await app.request('/rt/v2/realtime/stream')).status).toBe(426);
  });
});

describe('another origin', () => {
  const origin = 'https://app.example.com';
  const preflight = (app: ReturnType<typeof edgeApp>['app'], from: string) =>
    app.request('/v1/publish', {
      method: 'OPTIONS',
      headers: {
        origin: from,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });

  it('may call where it is allowed, without credentials', async () => {
    const { app } = edgeApp({ origins: [origin] });
    const response = await preflight(app, origin);
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
    expect(response.headers.get('access-control-allow-headers')?.toLowerCase()).toContain('authorization');
    expect(response.headers.has('access-control-allow-credentials')).toBe(false);
    const refused = await app.request('/nowhere', { headers: { origin } });
    expect(refused.headers.get('access-control-allow-origin')).toBe(origin);
  });

  it('may call however the setting spells it: a browser names it in small letters', async () => {
    const { app } = edgeApp({ origins: ['https://App.Example.com'] });
    const response = await preflight(app, origin);
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
  });

  it('is told nothing else', async () => {
    for (const origins of [[], [origin]]) {
      const response = await preflight(edgeApp({ origins }).app, 'https://evil.example');
      expect(response.headers.has('access-control-allow-origin')).toBe(false);
    }
  });

  it('may open streams by the same rule', () => {
    const isAllowed = originPolicy([origin]);
    expect(isAllowed(origin, 'api.example.com')).toBe(true);
    expect(isAllowed('http://localhost:4000', 'localhost:4000')).toBe(true);
    expect(isAllowed('https://evil.example', 'api.example.com')).toBe(false);
    expect(isAllowed('https://api.example.com.evil.example', 'api.example.com')).toBe(false);
    expect(isAllowed('null', 'api.example.com')).toBe(false);
    expect(originPolicy(['*'])('null', undefined)).toBe(true);
  });
});

describe('a flood from one address', () => {
  const arrival = (remoteAddress: string, forwarded?: string) => ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  });
  const setUp = (trustedProxies: string[] = []) => {
    const clock = new FakeClock();
    return { clock, limits: createRequestLimits({ perSecond: 2, trustedProxies, clock }) };
  };

  it('is let through at the set rate and no faster', () => {
    const { limits, clock } = setUp();
    const take = () => limits.take(arrival('203.0.113.9'));
    expect([take(), take(), take()]).toEqual([0, 0, 1]);
    expect(limits.take(arrival('203.0.113.10'))).toBe(0);
    clock.advance(500);
    expect([take(), take()]).toEqual([0, 1]);
  });

  it('is no matter on loopback', () => {
    const { limits } = setUp();
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
      for (let count = 0; count < 10; count += 1) expect(limits.take(arrival(address))).toBe(0);
  });

  it('is one address for a whole IPv6 network', () => {
    const { limits } = setUp();
    const from = (address: string) => limits.take(arrival(address));
    expect([from('2001:db8:1:2::1'), from('2001:db8:1:2:a:b:c:d'), from('2001:db8:1:2::3')]).toEqual([
      0, 0, 1,
    ]);
    expect(from('2001:db8:1:3::1')).toBe(0);
  });

  it('is seen behind trusted proxies, and not hidden by what a caller writes', () => {
    const { limits } = setUp(['10.0.0.0/8', '127.0.0.1']);
    expect(limits.addressOf(arrival('10.1.2.3', '198.51.100.7'))).toBe('198.51.100.7');
    expect(limits.addressOf(arrival('127.0.0.1', '6.6.6.6, 198.51.100.7, 10.9.9.9'))).toBe('198.51.100.7');
    expect(limits.addressOf(arrival('198.51.100.7', '1.2.3.4'))).toBe('198.51.100.7');
    expect(limits.addressOf(arrival('10.1.2.3', 'garbage'))).toBe('10.1.2.3');
    expect(() => readConfig({ TURNOUT_TRUSTED_PROXIES: '10.0.0.0/99' })).toThrow('TURNOUT_TRUSTED_PROXIES');
  });
});

describe('on a real server', () => {
  async function serve(options: EdgeOptions = {}) {
    const edge = edgeApp(options);
    const server = await openServer({
      fetch: edge.app.fetch,
      config: { ...readConfig({}), TURNOUT_PORT: 0 },
      clock: systemClock,
      takes: undefined,
      attach: () => undefined,
      connections: openConnections().connections,
    });
    onTestFinished(() => server.close());
    return { ...edge, port: Number(new URL(server.url).port) };
  }

  it('a flood behind a trusted proxy gets 429 with the time to wait', async () => {
    const { port } = await serve({ perSecond: 1, trustedProxies: ['127.0.0.1'] });
    const ask = () =>
      fetch(`http://127.0.0.1:${port}/healthz`, { headers: { 'x-forwarded-for': '203.0.113.9' } });
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { code: 'rate_limited', retry: 'backoff' } });
  });

  it('a balancer’s check in HTTP/1.0, without a Host, is answered', async () => {
    const { port } = await serve();
    const raw = await openRaw(`http://127.0.0.1:${port}`, 'GET /healthz HTTP/1.0\r\n\r\n');
    await once(raw.socket, 'close');
    expect(raw.said()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(raw.said()).toContain('{"status":"ok"}');
  });

  it('a body without a length is read whole, and none is an empty one', async () => {
    const { port, token } = await serve();
    const authorization = `Bearer ${await token({ roles: ['producer'] })}`;
    const publish = (...chunks: string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const headers = { authorization, 'content-type': 'application/json' };
        const post = request({ host: '127.0.0.1', port, path: '/v1/publish', method: 'POST', headers });
        // Nothing at all is sent as curl sends it: with neither a length nor chunks.
        if (chunks.length === 0)
          for (const name of ['transfer-encoding', 'content-length']) post.removeHeader(name);
        post.on('error', reject).on('response', (response) => {
          void textOf(response).then((body) => resolve(`${response.statusCode} ${body}`), reject);
        });
        for (const chunk of chunks) post.write(chunk);
        post.end();
      });
    const answer = await publish('{"service":"a","type":"t",', '"payload":"é","id":"one"}');
    expect(answer).toMatch(/^200 \{"results":\[\{"seq":1,"id":"one"\}\]/);
    expect(await publish()).toMatch(/^400 .*"bad_request"/);
  });

  it('a body in chunks that was too large leaves the connection to the next request', async () => {
    const { port, token } = await serve();
    const headers = {
      authorization: `Bearer ${await token({ publish: ['chat'] })}`,
      'transfer-encoding': 'chunked',
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const post = request({
      agent,
      host: '127.0.0.1',
      port,
      path: '/v2/realtime/publish',
      method: 'POST',
      headers,
    });
    const answered = once(post, 'response');
    post.end(Buffer.alloc(6 * 1024 * 1024, 'x'));
    const [response] = (await answered) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    response.resume();
    // The adaptor cuts a connection whose request was not read to its end within half a second of the answer.
    const cut = once(response.socket, 'close').then(() => 'cut');
    expect(await Promise.race([cut, sleep(700, 'kept')])).toBe('kept');
  });

  it('an endless body is refused before it was read', async () => {
    const { port, token } = await serve();
    const authorization = `Bearer ${await token({ roles: ['producer'] })}`;
    const headers = { authorization, 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const post = request({ host: '127.0.0.1', port, path: '/v1/publish', method: 'POST', headers });
      const chunk = Buffer.alloc(256 * 1024, 'x');
      let isAnswered = false;
      const more = (): void => {
        if (!isAnswered) post.write(chunk, () => setImmediate(more));
      };
      post.on('response', (response) => {
        isAnswered = true;
        resolve(response.statusCode);
        post.destroy();
      });
      post.on('error', (error) => (isAnswered ? undefined : reject(error)));
      more();
    });
    expect(status).toBe(413);
  });
});
