/**
 * The demo's page and what it asks for: its files, the crowd as it stands, and tokens. Those make anybody an admin, so they
 * are handed to this machine's own browser alone; the gateway mounts none of this where a key is configured.
 */
import { readFile } from 'node:fs/promises';
import { Hono } from 'hono';
import type { CrowdState, PageTokens } from '../../clients/demo/state.ts';
import { fail } from '../errors.ts';
import { ownPageOnly } from './own-page.ts';

// Nothing inline, nothing from elsewhere: streams to this host are part of 'self'.
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const pageFolder = new URL('../../clients/demo/', import.meta.url);
// The page's scripts have to be built: `npm run dev` does it first.
const builtFolder = import.meta.url.endsWith('.js') ? '../../clients/' : '../../dist/clients/';
const scriptFolder = new URL(builtFolder, import.meta.url);

const files: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};
/** Modules of the page, of the SDK and of the legacy client, each part a plain name: no way out of the folder. */
const script = /^(demo|js|legacy)(\/[a-z0-9-]+)+\.js$/;

export function demoPage(crowd: () => CrowdState, tokens: PageTokens): Hono {
  return new Hono()
    .get('/', async (c) => {
      c.header('content-security-policy', policy);
      const page = await readFile(new URL('index.html', pageFolder), 'utf8');
      // Under a base path this route has no slash at its end, so the page can't name its files from where it is.
      return c.html(page.replaceAll('@base@', c.req.path.replace(/\/$/, '')));
    })
    .get('/demo/state', (c) => c.json(crowd()))
    .get('/demo/tokens', ownPageOnly, (c) => c.json(tokens))
    .get('/demo/clients/*', async (c) => {
      const [, path = ''] = c.req.path.split('/demo/clients/');
      if (!script.test(path)) throw fail('not_found');
      return c.body(await contentOf(new URL(path, scriptFolder)), 200, {
        'content-type': 'text/javascript; charset=utf-8',
      });
    })
    .get('/demo/:file', async (c) => {
      const file = c.req.param('file');
      const type = Object.hasOwn(files, file) ? files[file] : undefined;
      if (type === undefined) throw fail('not_found');
      return c.body(await contentOf(new URL(file, pageFolder)), 200, { 'content-type': type });
    });
}

async function contentOf(file: URL): Promise<Buffer<ArrayBuffer>> {
  try {
    return await readFile(file);
  } catch (cause) {
    // From source, before the first `npm run build`.
    throw fail('not_found', 'this file is not built: run `npm run build`', { cause });
  }
}
