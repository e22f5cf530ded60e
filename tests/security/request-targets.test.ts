/**
 * The way in: a target that a proxy in front, Turnout and an upstream could read as different paths is refused before any
 * route sees it; every other target reaches whom it names, as it was written.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { targetProblem } from '../../src/http/target.ts';
import { openGatewayHere } from '../support/gateway-here.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { exchangeRaw, openRaw, upgradeText } from '../support/raw-socket.ts';
import { answerText, RawUpstream } from '../support/raw-upstream.ts';
import { testAdminToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let site: RawUpstream;
let other: RawUpstream;
let node: Awaited<ReturnType<typeof openGatewayHere>>;

beforeAll(async () => {
  const echo = (name: string) =>
    RawUpstream.open((socket) => void socket.write(answerText('200 OK', [], name)));
  [site, other] = await Promise.all([echo('the site'), echo('the other')]);
  // `/api/*` and `/login` are of the one, `/api/other/*` and everything else of the other.
  node = await openGatewayHere([
    plainProfile(site.url),
    {
      ...plainProfile(other.url),
      name: 'other',
      match: { method: 'GET', path: '/api/other/updates' },
      passthrough: ['/api/other/*', '/*'],
    },
  ]);
});
afterAll(async () => {
  await node.close();
  site.close();
  other.close();
});

const asked = (): number => site.asked.length + other.asked.length;

function ask(target: string, { method = 'GET', host = 'old', token = testAdminToken } = {}): Promise<string> {
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, `Authorization: Bearer ${token}`];
  return exchangeRaw(node.url, `${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`);
}

const refused = [
  ['/v1/realtime/../../metrics', 'dot segments'],
  ['/v1/realtime/../../admin/v1/rollout', 'dot segments'],
  ['/v1/realtime/%2e%2e/%2E%2E/metrics', 'encoded dots'],
  ['/v1/realtime/.%2e/.%2e/metrics', 'half encoded dots'],
  ['/v1/realtime/%252e%252e/%252e%252e/metrics', 'dots encoded twice'],
  ['/v1/realtime/%25252e%25252e/x', 'dots encoded three times'],
  ['/v1/realtime/%2525252525252e/x', 'an encoding without end'],
  ['/v1/realtime/%c0%ae%c0%ae/x', 'dots in overlong UTF-8'],
  ['/api/%ef%bc%8e%ef%bc%8e%ef%bc%8fx', 'full-width dots and slash'],
  ['/api/%u002e%u002e/x', 'dots in the encoding of old servers'],
  ['/api/..%2f..%2fmetrics', 'an encoded slash after dots'],
  ['/api/..%5cx', 'an encoded backslash after dots'],
  ['/api/..\\x', 'a backslash after dots'],
  ['/api\\x', 'a backslash'],
  ['/api/..;/secret', 'parameters of a dot segment'],
  ['/api/..;a=1/secret', 'the same with a name'],
  ['/api/%2e.%3bx=1/secret', 'encoded parameters of a dot segment'],
  ['/api/..', 'dots at the end'],
  ['/api/.', 'one dot'],
  ['/api/./updates', 'one dot between'],
  ['/api/.../x', 'three dots'],
  ['/api/..#x', 'a fragment after dots'],
  ['/api/x#y', 'a fragment'],
  ['/api/x?y#z', 'a fragment after a query'],
  ['/#/../admin/v1/rollout', 'a fragment before dots'],
  ['/api/..%23x', 'an encoded fragment after dots'],
  ['/api/..%3fx', 'an encoded question mark after dots'],
  ['/api/..%20', 'a blank after dots'],
  ['/api/.%09./x', 'a tab within dots'],
  ['/api/x%00.json', 'an encoded NUL'],
  ['/api/%', 'half an encoding'],
  ['/api/%zz', 'no encoding'],
  ['/%61dmin/v1/rollout', 'a letter of an own path encoded'],
  ['/%2561dmin/v1/rollout', 'the same twice'],
  ['/%6detrics', 'a letter of /metrics encoded'],
  ['/%68ealthz', 'a letter of /healthz encoded'],
  ['//metrics', 'two slashes'],
  ['/admin//v1/rollout', 'two slashes within'],
  ['/admin%2fv1/rollout', 'an encoded slash within'],
  ['/admin/v1/rollout;x', 'parameters of an own path'],
  ['/admin;x/v1/rollout', 'parameters within an own path'],
  ['/metrics%3fx', 'an encoded question mark after an own path'],
  ['/metrics%23x', 'an encoded fragment after an own path'],
  ['/v1/realtime/po%09ll', 'a tab in an own path'],
  ['/api%2fupdates', 'an encoded slash in a legacy path'],
  ['/%61pi/updates', 'a letter of a legacy path encoded'],
  ['//api/updates', 'two slashes before a legacy path'],
  ['/api/othe%72/x', "a letter that makes it the other API's"],
  ['/api//other/x', "slashes that make it the other API's"],
  ['http://old/metrics', 'absolute-form'],
  ['http://old/api/updates', 'absolute-form of a legacy path'],
  ['HTTP://OLD/metrics', 'absolute-form in capitals'],
  ['ftp://old/metrics', 'absolute-form of another scheme'],
  ['*', 'the asterisk'],
  ['old:80', 'authority-form'],
  ['metrics', 'no slash'],
  ['?x', 'a query alone'],
] as const;

describe('a target', () => {
  it.each(refused)('%s is refused (%s), and reaches nobody', async (target) => {
    const before = asked();
    const said = await ask(target);
    expect(said).toMatch(/^HTTP\/1\.1 400 /);
    expect(said).not.toContain('turnout_');
    expect(asked()).toBe(before);
  });

  it('that is refused is told why, as every error, in writes and upgrades too', async () => {
    expect(await ask('/api/../x')).toContain('"code":"bad_request","message":"the path has dot segments"');
    for (const method of ['PUT', 'POST', 'HEAD', 'DELETE', 'PATCH', 'TRACE'])
      expect(await ask('/v1/realtime/../../admin/v1/rollout/percent', { method })).toMatch(
        /^HTTP\/1\.1 400 /,
      );
    for (const Upgrade of ['websocket', 'h2c'])
      for (const path of ['/v2/realtime/../realtime/stream', '/v2/realtime/%73tream', '/api/..#x']) {
        const raw = await openRaw(node.url, upgradeText(path, { Upgrade }));
        await until(() => raw.said().includes('\r\n\r\n'), 'an answer');
        raw.socket.destroy();
        expect(raw.said()).toMatch(/^HTTP\/1\.1 400 /);
      }
    expect(await ask('/metrics')).toMatch(/http_requests_total\{route="unmatched",status="400"\} [1-9]/);
  });

  it('with bytes that no target may hold is refused by the parser', async () => {
    const before = asked();
    const bytes = ['\t', '\0', '\x01', '\x0b', '\x0c', '\x7f', ' ', '\x80', '\xc0\xae', '\xc3\xbc', '\xff'];
    for (const bad of bytes.flatMap((byte) => [`/api/a${byte}b`, `/api/a?b${byte}c`]))
      expect(await ask(bad), JSON.stringify(bad)).toMatch(/^HTTP\/1\.1 400 /);
    expect(asked()).toBe(before);
  });

  it.each([
    ['/api/a%20b', 'an encoded blank'],
    ['/api/files/a%2Fb', 'an encoded slash'],
    ['/api/files/a%252Fb', 'a slash encoded twice'],
    ['/api/users/CORP%5Cbob', 'an encoded backslash'],
    ['/api/users/ann%40acme.com', 'an encoded @'],
    ['/api/x;jsessionid=1', 'parameters'],
    ['/api/a//b', 'two slashes'],
    ['/api/M%C3%BCller', 'encoded UTF-8'],
    ['/api/M%FCller', 'encoded Latin-1'],
    ['/api/%C0%A1%C6%BD', 'encoded EUC-KR'],
    ['/api/.hidden', 'a name that begins with a dot'],
    ['/api/a..b/c.', 'dots within a name'],
    ['/api/%7Eann', 'an encoded tilde'],
    ['/api/x?next=/../%2e%2e;a\\b', 'dots in the query'],
    ['/api/x?q=50%', 'half an encoding in the query'],
    ['/api/?', 'an empty query'],
    ['/api/search/a%0Ab', 'an encoded line feed'],
    ['/login', 'an exact path'],
  ])('%s (%s) reaches the legacy API as it was written', async (target) => {
    expect(await ask(target)).toMatch(/^HTTP\/1\.1 200 .*the site$/s);
    expect(site.asked.at(-1)).toMatch(/^GET /);
    expect(site.asked.at(-1)?.split(' ')[1]).toBe(target);
  });

  it.each([
    ['/api/other/x', 'a longer pattern'],
    ['/Metrics', 'capitals: nowhere are they Turnout’s'],
    ['/ADMIN/v1/rollout', 'capitals'],
    ['/metrics/', 'a slash at the end'],
    ['/metrics.', 'a dot at the end'],
    ['/v1/realtime/poll/', 'a slash at the end'],
    ['/API/updates', 'capitals of a legacy path'],
    ['/', 'the root'],
    ['/.well-known/x', 'a name that begins with a dot'],
  ])("%s (%s) is the API's whose pattern takes it, and Turnout's nowhere", async (target) => {
    expect(await ask(target)).toMatch(/^HTTP\/1\.1 200 .*the other$/s);
    expect(other.asked.at(-1)?.split(' ')[1]).toBe(target);
  });

  it('of an own path may hold encodings where the path has a parameter', async () => {
    const said = await ask('/admin/v1/decisions/acme/ann%40acme%2Ecom%3A1');
    expect(said).toMatch(/^HTTP\/1\.1 200 /);
    expect(said).toContain('"ann@acme.com:1"');
  });
});

describe('a Host', () => {
  it.each([
    ['\xdfc\xf5a\xe8\xe7\xe7/metrics?', 'a path behind letters that grow in Punycode'],
    ['old/metrics?', 'a path'],
    ['old#', 'a fragment'],
    ['old\\metrics', 'a backslash'],
    ['ann@old', 'a user'],
  ])('%s is refused (%s): the URL would be another', async (host) => {
    const before = asked();
    for (const target of ['/v1/realtime/poll', '/api/updates']) {
      const said = await ask(target, { host });
      expect(said).toMatch(/^HTTP\/1\.1 400 /);
      expect(said).not.toContain('turnout_');
    }
    expect(asked()).toBe(before);
  });

  it('may be a name, an address and a port', async () => {
    for (const host of ['old', 'shop.example:8080', '127.0.0.1:80', '[::1]:4000', 'under_score.example', ''])
      expect(await ask('/healthz', { host }), host).toMatch(/^HTTP\/1\.1 200 /);
  });
});

it('a long target costs a look, not a long one', () => {
  const headers = { host: 'old' };
  let owners = 0;
  const ownerOf = (): undefined => void (owners += 1);
  for (const unit of ['%25', '/.', '/..;', '%2f', '\\', '//', ';', '%', 'a%2e', '/a.'])
    targetProblem({ url: `/${unit.repeat(16_384 / unit.length)}`, headers }, ownerOf);
  expect(owners).toBeLessThanOrEqual(20);
});
