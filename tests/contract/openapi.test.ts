/** The API's description is committed as the routes give it, holds together, and is shown without another host. */
import { readFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { isOwnPath } from '../../src/legacy/profile/load.ts';
import { createLogger } from '../../src/logger.ts';
import { openApiText } from '../support/described-app.ts';
import { edgeApp } from '../support/edge-app.ts';
import { testSecret } from '../support/tokens.ts';

interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly security?: readonly Record<string, unknown>[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Record<string, { readonly description?: string; readonly content?: Content }>;
}
type Content = Record<string, { readonly schema: object }>;
interface Document {
  readonly openapi: string;
  readonly components: { readonly securitySchemes: Record<string, unknown> };
  readonly paths: Record<string, Record<string, Operation>>;
}

const text = await openApiText();
const document = JSON.parse(text) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
);

describe('openapi.json', () => {
  it('is committed as the routes describe it', async () => {
    const committed = await readFile(new URL('../../schema/openapi.json', import.meta.url), 'utf8');
    expect(committed === text, 'schema/openapi.json has drifted: run `npm run schema` and commit it').toBe(
      true,
    );
  });

  it('is what a running node answers', async () => {
    const config = readConfig({ TURNOUT_PORT: '0', TURNOUT_JWT_SECRET: testSecret });
    const gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
    onTestFinished(() => gateway.drain());
    const response = await fetch(`${gateway.url}/openapi.json`);
    expect(await response.json()).toEqual(document);
  });

  it('names no path that a profile of an old API could take', () => {
    const others = ['/openapi.json', '/docs', '/docs/start.js'];
    for (const path of [...operations.map((operation) => operation.path), ...others]) {
      expect(isOwnPath(path, ''), path).toBe(true);
      expect(isOwnPath(`/live${path}`, '/live'), path).toBe(true);
    }
  });

  it('names what the admin API refuses, and with which code', () => {
    const refusalOf = (name: string, status: number): string =>
      operations.find((operation) => operation.name === name)?.operation.responses[status]?.description ?? '';
    for (const { name, path } of operations)
      if (path.startsWith('/admin/v1/')) expect(refusalOf(name, 403), name).toBe('role_required');
    expect(refusalOf('put /admin/v1/rollout/percent', 409)).toBe('version_conflict');
    expect(refusalOf('post /admin/v1/rollout/unkill', 409)).toBe('version_conflict, kill_file_present');
    expect(refusalOf('post /admin/v1/rollout/kill', 409)).toBe('');
    expect(refusalOf('put /admin/v1/rollout/flags/{name}', 404)).toBe('not_found');
  });

  it('names every route of the protocol', () => {
    expect(document.openapi).toBe('3.1.0');
    const names = operations.map(({ name }) => name);
    for (const name of [
      'get /v1/realtime/poll',
      'get /v2/realtime/stream',
      'post /v2/realtime/negotiate',
      'post /v1/publish',
      'post /v2/realtime/publish',
      'get /v2/realtime/metrics',
      'get /admin/v1/rollout',
      'put /admin/v1/rollout/percent',
      'post /admin/v1/rollout/kill',
      'post /admin/v1/rollout/unkill',
      'get /admin/v1/decisions/{org}/{user}',
      'get /healthz',
      'get /readyz',
      'get /metrics',
    ])
      expect(names).toContain(name);
  });

  it.each(operations)('describes $name so that a machine can read it', ({ path, operation }) => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted());
    expect(operation.summary).toBeTruthy();
    for (const scheme of operation.security ?? [])
      for (const name of Object.keys(scheme))
        expect(document.components.securitySchemes).toHaveProperty(name);
    const contents = [operation.requestBody, ...Object.values(operation.responses)];
    for (const part of contents)
      for (const { schema } of Object.values(part?.content ?? {}))
        expect(() => ajv.compile(schema)).not.toThrow();
    for (const response of Object.values(operation.responses)) expect(response.description).toBeTruthy();
    const statuses = Object.keys(operation.responses);
    if (operation.security !== undefined && !('101' in operation.responses))
      expect(statuses).toContain('401');
    if (operation.requestBody !== undefined)
      expect(statuses).toEqual(expect.arrayContaining(['400', '413', '415']));
  });

  it('has an id for each operation, none twice', () => {
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
  });
});

describe.each(['', '/rt'])('the docs under "%s"', (basePath) => {
  it('come whole from this node, and the browser is told to ask no other', async () => {
    const { app } = edgeApp({ basePath });
    const response = await app.request(`${basePath}/docs`);
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(html).not.toMatch(/https?:|\/\//);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline/);
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '');
    expect(links.length).toBeGreaterThan(3);
    for (const link of [...links, 'openapi.json']) {
      const asset = await app.request(new URL(link, `http://node${basePath}/docs`).pathname);
      expect(asset.status, link).toBe(200);
      expect((await asset.arrayBuffer()).byteLength, link).toBeGreaterThan(50);
    }
  });

  it('serve no file but their own', async () => {
    const { app } = edgeApp({ basePath });
    for (const name of ['package.json', 'index.html', '..%2f..%2fpackage.json', '__proto__', 'constructor'])
      expect((await app.request(`${basePath}/docs/${name}`)).status).toBe(404);
  });
});
