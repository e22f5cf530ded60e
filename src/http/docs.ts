/** The API's own description: `/openapi.json`, made from the routes, and `/docs`, which shows it without another host. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Hono } from 'hono';
import { generateSpecs } from 'hono-openapi';
import { fail } from '../errors.ts';
import type { AppEnv } from './app.ts';
import { answerDirectly } from './direct-answer.ts';

/** Swagger UI's own files that the page needs; nothing else of the package is served. */
const assets: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};
// Swagger UI writes style attributes; scripts come from here alone, and nothing is fetched from elsewhere.
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Turnout API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;
// In a file of its own, because the policy allows no script inside the page. Paths are relative: any base path will do.
const start = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#ui', validatorUrl: null, deepLinking: false });\n`;

/** The OpenAPI 3.1 document of every route that is mounted on `app` now. */
export async function openApiDocument(app: Hono<AppEnv>): Promise<object> {
  return generateSpecs(app, {
    documentation: {
      openapi: '3.1.0',
      info: {
        title: 'Turnout',
        version: '1.0.0',
        description:
          'One event log, long-poll and WebSocket over it, and a percentage that decides who gets which.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: ['realtime', 'publish', 'admin', 'ops'].map((name) => ({ name })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description:
              "A user's token; to publish as a backend, a producer's; for `/admin/v1`, that of a viewer, operator or " +
              'admin, or `TURNOUT_ADMIN_TOKEN`. `npm start` with nothing configured prints one of each.',
          },
          accessToken: { type: 'apiKey', in: 'query', name: 'access_token' },
          ticket: { type: 'apiKey', in: 'query', name: 'ticket' },
        },
      },
    },
    excludeStaticFile: true,
    defaultValidationErrorResponse: false,
  });
}

/** @param app whose routes are described, as they stand at the first request */
export function docsRoutes(app: Hono<AppEnv>): Hono<AppEnv> {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const load = (file: string) => readFile(join(folder, file));
  const describe = async () => Buffer.from(JSON.stringify(await openApiDocument(app)));
  // One buffer for all who ask: a large answer that is made anew for each would fill the node's memory.
  const made = new Map<string, Promise<Buffer>>();
  const once = async (name: string, make: (name: string) => Promise<Buffer>): Promise<Buffer> => {
    const making = made.get(name) ?? make(name);
    made.set(name, making);
    return making.catch((error: unknown) => {
      made.delete(name);
      throw error;
    });
  };
  return new Hono<AppEnv>()
    .get('/openapi.json', async (c) =>
      answerDirectly(c, await once('openapi.json', describe), { 'content-type': 'application/json' }),
    )
    .get('/docs', (c) => {
      c.header('content-security-policy', policy);
      return c.html(page);
    })
    .get('/docs/', (c) => c.redirect('../docs', 301))
    .get('/docs/start.js', (c) => c.body(start, 200, { 'content-type': 'text/javascript; charset=utf-8' }))
    .get('/docs/:file', async (c) => {
      const file = c.req.param('file');
      const type = Object.hasOwn(assets, file) ? assets[file] : undefined;
      if (type === undefined) throw fail('not_found');
      const headers = { 'content-type': type, 'cache-control': 'public, max-age=3600' };
      return answerDirectly(c, await once(file, load), headers);
    });
}
