/** The routes that serve files: a fixed list of names, and nothing else of the disk under any spelling. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { demoPage } from '../../src/demo/page.ts';
import { edgeApp } from '../support/edge-app.ts';
import { openGatewayHere } from '../support/gateway-here.ts';
import { exchangeRaw } from '../support/raw-socket.ts';

let node: Awaited<ReturnType<typeof openGatewayHere>>;
beforeAll(async () => {
  node = await openGatewayHere([]);
});
afterAll(() => node.close());

const names = [
  'package.json',
  'index.html',
  'swagger-ui.js',
  'swagger-ui-bundle.js.map',
  'swagger-ui-bundle.js%00',
  'swagger-ui-bundle.js%00.png',
  '%73wagger-ui-bundle.js/..',
  '../package.json',
  '..%2fpackage.json',
  '%2e%2e%2fpackage.json',
  '..%5cpackage.json',
  '..%252fpackage.json',
  '..;/package.json',
  '%c0%ae%c0%ae%c0%afpackage.json',
  '../../../../../../etc/passwd',
  '..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
  '/etc/passwd',
  '%2fetc%2fpasswd',
  'file:%2f%2f%2fetc%2fpasswd',
  'C:%5cboot.ini',
  '.env',
  '.',
  '..',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
];
// What ends in dots is another route where nothing stands in front.
const inApp = names.filter((name) => !name.endsWith('.'));

it.each(names)('/docs/%s is nothing, and nothing of a file is shown', async (name) => {
  const said = await exchangeRaw(
    node.url,
    `GET /docs/${name} HTTP/1.1\r\nHost: old\r\nConnection: close\r\n\r\n`,
  );
  expect(said).toMatch(/^HTTP\/1\.1 (?:400|404) /);
  expect(said).not.toMatch(/root:|swagger-ui-dist|"version"|function/);
});

it('the app by itself serves its list alone, whatever stands in front of it', async () => {
  const { app } = edgeApp();
  for (const name of inApp) expect([400, 404], name).toContain((await app.request(`/docs/${name}`)).status);
  for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png', 'start.js'])
    expect((await app.request(`/docs/${name}`)).status, name).toBe(200);
});

it("the demo's page serves its own files and modules alone", async () => {
  const { app } = edgeApp();
  // Neither the crowd nor its tokens are asked for here.
  const page = app.route(
    '/',
    demoPage(() => ({}) as never, {} as never),
  );
  for (const folder of ['', 'clients/', 'clients/js/', 'clients/js/../', 'clients/demo/'])
    for (const name of inApp) {
      const answer = await page.request(`/demo/${folder}${name}`);
      expect([400, 404], `${folder}${name}`).toContain(answer.status);
    }
  expect((await page.request('/demo/style.css')).status).toBe(200);
});
