/** A wrong profile is told before a node starts: file, line, path and cure, everything at once, and no secret. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config.ts';
import { loadProfiles } from '../../../src/legacy/profile/load.ts';

const good = `name: acme-v1
match: { path: /api/updates }
upstream: http://backend:3000
auth: { from: cookie, name: sid, resolve: { url: http://backend:3000/whoami, user: $.id, org: acme } }
request:
  cursor: { in: query, name: since, format: integer }
  wait: { in: query, name: timeout, default: 30, max: 60 }
  services: { fixed: [updates] }
response:
  idle: { status: 204 }
  events: { status: 200, body: { updates: $events, next: $cursor } }
  event: { id: $.id, kind: $.type, data: $.payload }
source: { kind: redis-stream, url: '\${OLD_REDIS}', key: 'updates:{org}', id: $id, type: kind, payload: data }
`;
const env = { OLD_REDIS: 'redis://u:hunter2@old' };
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-profiles-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function written(text: string, ending = 'yaml'): Promise<string> {
  files += 1;
  const file = join(folder, `p${files}.${ending}`);
  await writeFile(file, text);
  return file;
}

function problemsOf(places: readonly string[], own = { host: '127.0.0.1', port: 4000 }): readonly string[] {
  try {
    loadProfiles(places, env, own);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.problems.map((line) => line.replace(/^p\d+/, 'p'));
    throw thrown;
  }
  return [];
}

const changed = async (from: string, to: string): Promise<readonly string[]> => {
  expect(good).toContain(from);
  return problemsOf([await written(good.replace(from, to))]);
};

describe('a good profile', () => {
  it('is read from YAML and from JSON, with secrets from the environment', async () => {
    const { profiles, warnings } = loadProfiles([await written(good)], env, undefined);
    expect(warnings).toEqual([]);
    expect(profiles[0]?.source).toMatchObject({ url: env.OLD_REDIS });
    const json = await written(JSON.stringify(profiles[0]), 'json');
    expect(loadProfiles([json], {}, undefined).profiles).toEqual(profiles);
  });

  it('is found in a folder, among files of other kinds', async () => {
    const place = await mkdtemp(join(folder, 'folder-'));
    await writeFile(join(place, 'a.yml'), good);
    await writeFile(join(place, 'README.md'), 'not a profile');
    expect(loadProfiles([place], env, undefined).profiles.map(({ name }) => name)).toEqual(['acme-v1']);
    expect(problemsOf([join(place, 'nowhere')])[0]).toMatch(
      /^TURNOUT_PROFILES: .*nowhere can't be read: ENOENT$/,
    );
  });
});

describe('a wrong one', () => {
  it.each([
    [
      'format: integer',
      'format: interger',
      'p.yaml:6 request.cursor.format: one of integer, timestamp, stream-id, string, opaque; did you mean integer?',
    ],
    ['match: { path', 'match: { paht', 'p.yaml:2 match.paht: there is no such field; did you mean path?'],
    [
      '/api/updates }',
      '/v1/realtime/poll }',
      "p.yaml:2 match.path: /v1/realtime/poll is a path of Turnout's own: leave it out, or move Turnout's by TURNOUT_BASE_PATH",
    ],
    [
      '/api/updates }',
      '/api/updates }\npassthrough: [/login, /admin/v1/rollout]',
      "p.yaml:3 passthrough[1]: /admin/v1/rollout is a path of Turnout's own: leave it out",
    ],
    ['default: 30, ', '', 'p.yaml:7 request.wait.default: is missing: a number is needed'],
    ['default: 30', 'default: 90', 'p.yaml:7 request.wait.default: is more than max'],
    ['default: 30', 'default: soon', 'p.yaml:7 request.wait.default: a number is needed, not a text'],
    ['upstream: http://backend:3000', 'upstream: backend', 'p.yaml:3 upstream: an http or https URL'],
    [
      'http://backend:3000\nauth',
      'http://u:hunter2@backend\nauth',
      'p.yaml:3 upstream: a URL without user and password: files are read by many',
    ],
    [
      'http://backend:3000\nauth',
      'http://localhost:4000\nauth',
      'p.yaml:3 upstream: is where this node itself listens: name the old backend',
    ],
    ['cookie, name: sid', 'cookie', 'p.yaml:4 auth.name: is missing: which cookie it is'],
    [
      'in: query, name: since',
      'in: body, name: since',
      'p.yaml:6 request.cursor.in: a GET has no body: query or header, or match.method POST',
    ],
    [
      'format: integer',
      'format: integer, value: $.paylod.n',
      'p.yaml:6 request.cursor.value: no field of an event: a cursor comes from $.id or a place in $.payload; did you mean payload?',
    ],
    [
      'updates: $events',
      'updates: $event',
      'p.yaml:11 response.events.body.updates: here may stand $events and $cursor; did you mean $events?; a text that begins with $ is written $$',
    ],
    ['next: $cursor', 'next: $cursors', 'p.yaml:11 response.events.body.next: here may stand'],
    ['data: $.payload', 'data: $payload', 'p.yaml:12 response.event.data: begins with $ and is no path'],
    [
      'status: 204',
      'status: 204, body: []',
      'p.yaml:10 response.idle.body: an answer with status 204 has no body: leave it out',
    ],
    [
      'kind: redis-stream',
      'kind: redis-strem',
      'p.yaml:13 source.kind: one of redis-stream, redis-pubsub, long-poll; did you mean redis-stream?',
    ],
    ["'updates:{org}'", 'updates', 'p.yaml:13 source.key: says nothing of the org'],
    ['id: $id', 'id: =one', 'p.yaml:13 source.id: one id for all'],
    ['type: kind', 'type: $kind', 'p.yaml:13 source.type: a field, a path'],
    ['type: kind', 'type: kind, service: chat', 'p.yaml:13 source.service: is not in request.services.fixed'],
    ['OLD_REDIS', 'OLD_REDIS_URL', 'p.yaml:13 source.url: the variable OLD_REDIS_URL is not set'],
    ['services: {', 'services: [', 'p.yaml:8'],
  ])('%s as %s', async (from, to, problem) => {
    const problems = await changed(from, to);
    expect(problems.map((line) => line.slice(0, problem.length))).toContain(problem);
    expect(problems.join()).not.toContain('hunter2');
  });

  it('is told with everything that is wrong, in every file', async () => {
    const bad = await written(good.replace('integer', 'int').replace('acme-v1', 'Acme').replace('204', '20'));
    const [one, two] = [await written(good), await written(good)];
    expect(problemsOf([bad])).toHaveLength(3);
    expect(problemsOf([bad, one, two]).slice(3)).toEqual([
      'p.yaml:1 name: another profile is called acme-v1 too',
      "p.yaml:2 match.path: GET /api/updates is acme-v1's already",
    ]);
  });

  it('may want a path that Turnout has left, but none of those that balancers ask', async () => {
    const moved = { ...env, TURNOUT_BASE_PATH: '/live' };
    const at = async (path: string): Promise<string> => written(good.replace('/api/updates', path));
    expect(loadProfiles([await at('/v1/realtime/poll')], moved, undefined).profiles).toHaveLength(1);
    for (const path of ['/live/v1/realtime/poll', '/readyz']) {
      const place = await at(path);
      expect(() => loadProfiles([place], moved, undefined)).toThrow(`match.path: ${path} is a path of`);
    }
  });

  it.each([
    [
      'match: { path: /api/updates }',
      'passthrough: [/api/updates]',
      "passthrough[0]: /api/updates is acme-v1's already",
    ],
    [
      'match: { path: /feed/* }',
      'match: { path: /feed/*, method: POST }',
      "match.path: POST /feed/* is acme-v1's already",
    ],
    ['match: { path: /feed/* }', 'passthrough: [/feed/*]', "passthrough[0]: /feed/* is acme-v1's already"],
    ['passthrough: [/api/*]', 'match: { path: /api/updates }', ''],
    ['match: { path: /api/updates }', 'match: { path: /api/updates, method: POST }', ''],
  ])('that wants what another takes by %s is told, where it says %s', async (theirs, its, problem) => {
    const claims = (name: string, text: string): Promise<string> => {
      const lines = text.startsWith('match') ? text : `match: { path: /${name} }\n${text}`;
      return written(good.replace('acme-v1', name).replace('match: { path: /api/updates }', lines));
    };
    const problems = problemsOf([await claims('acme-v1', theirs), await claims('two', its)]);
    expect(problems.map((line) => line.replace(/^p.yaml:\d+ /, ''))).toEqual(problem === '' ? [] : [problem]);
  });

  it('is only warned about where it can be meant', async () => {
    const long = await written(good.replace('max: 60', 'max: 120').replace('$.type', '$.typ'));
    const { profiles, warnings } = loadProfiles([long], env, undefined);
    expect(profiles).toHaveLength(1);
    expect(warnings.map((line) => line.replace(/^p\d+/, 'p'))).toEqual([
      expect.stringContaining('p.yaml:7 request.wait.max: over 60 s'),
      expect.stringContaining('p.yaml:12 response.event.kind: the envelope has no field of that name'),
    ]);
  });

  it('is warned about two readers of one org, who have no common order, and perhaps no common view', async () => {
    const [head = ''] = good.split('source:');
    const reader = '{ org: acme, headers: { x-key: hunter2 } }';
    const readers = [reader, '{ org: other }', reader].join(', ');
    const source = `source: { kind: long-poll, readers: [${readers}], items: $.updates, id: id, type: kind, payload: $`;
    for (const [to, seen] of [
      [' }', 'without source.to all of the org'],
      [', to: who }', 'given one late or twice'],
    ] as const) {
      const { warnings } = loadProfiles([await written(head + source + to)], env, undefined);
      expect(warnings).toEqual([
        expect.stringMatching(/p\d*.yaml:13 source.readers\[2\]: another reader of the same org/),
      ]);
      expect(warnings.join()).toMatch(new RegExp(`${seen}[^,]*$`));
    }
  });
});
