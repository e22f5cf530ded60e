/** What is served from folders is what is listed: no path leads out of them, and no name to another file. */
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openNode, type OwnNode } from '../support/own-node.ts';

let node: OwnNode;
beforeAll(async () => {
  // The demo serves its page's files beside those of the API's description.
  node = await openNode({
    TURNOUT_JWT_SECRET: undefined,
    TURNOUT_ADMIN_TOKEN: undefined,
    TURNOUT_DEMO_CROWD: '0',
  });
});
afterAll(() => node.drain());

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
afterAll(() => agent.destroy());

/** The path goes as it stands: URL and fetch would take the dots away. */
const statusOf = (path: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    const { hostname, port } = new URL(node.url);
    request({ hostname, port, path, agent }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject)
      .end();
  });

const ups = [
  '..',
  '%2e%2e',
  '.%2e',
  '%2E%2E',
  '..%2f',
  '%2e%2e%2f',
  '..%5c',
  '..\\',
  '%c0%ae%c0%ae',
  '..%252f',
  '....//',
];
const leads = ['/docs/', '/demo/', '/demo/clients/', '/demo/clients/demo/', '/demo/clients/js/', '/'];
const files = ['package.json', 'etc/passwd', 'src/main.js', 'index.html%00.js', 'swagger-ui-dist/index.js'];

it.each(leads)('no way up leads out of %s', async (lead) => {
  const paths = ups.flatMap((up) =>
    files.flatMap((file) => [`${lead}${up}/${file}`, `${lead}${Array(6).fill(up).join('/')}/${file}`]),
  );
  const statuses = await Promise.all(paths.map(statusOf));
  const served = paths.filter((_, at) => ![400, 403, 404].includes(statuses[at] ?? 0));
  expect(served).toEqual([]);
});

it.each([
  '/docs/package.json',
  '/docs/index.html',
  '/docs/swagger-ui.js.map',
  '/docs/__proto__',
  '/docs/constructor',
  '/docs/toString',
  '/docs//etc/passwd',
  '/docs/%2fetc%2fpasswd',
  '/docs/file:%2f%2f%2fetc%2fpasswd',
  '/demo/index.html',
  '/demo/main.ts',
  '/demo/__proto__',
  '/demo/hasOwnProperty',
  '/demo/clients/demo/main.ts',
  '/demo/clients/loadtest/swarm.js',
  '/demo/clients/demo',
  '/demo/clients//etc/passwd.js',
  '/demo/clients/http:%2f%2fevil.example/x.js',
  '/demo/clients/demo/%00.js',
  '/.env',
  '/.git/config',
  '/package.json',
])('%s is no file of ours to serve', async (path) => {
  // A NUL is refused before any route is asked.
  expect(await statusOf(path)).toBe(path.includes('%00') ? 400 : 404);
});

it('what is listed is served', async () => {
  for (const path of ['/docs/start.js', '/docs/swagger-ui.css', '/demo/style.css', '/'])
    expect(await statusOf(path), path).toBe(200);
});
