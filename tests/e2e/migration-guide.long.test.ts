/**
 * docs/STREAMING_MIGRATION.md as a reader goes through it: every command as it stands, on the foreign company and a real Redis;
 * only addresses are put in place. At each step the company's own client reads on and must notice nothing.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient } from '../../clients/js/index.ts';
import { AcmeClient, AcmeReader } from '../support/acme/client.ts';
import { ensureCommand } from '../support/debian.ts';
import { GuideShell } from '../support/guide-shell.ts';
import { call } from '../support/http-client.ts';
import type { Pasted } from '../support/pasted-commands.ts';
import { type Block, readmeBlocks } from '../support/readme-blocks.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { listeningUrl } from '../support/started-process.ts';
import { until } from '../support/until.ts';

const guide = 'docs/STREAMING_MIGRATION.md';
/** What the guide says that a command prints. */
const [, checkSays = '', , sourceSays = '', , shadowSays = ''] = [
  ...readFileSync(guide, 'utf8').matchAll(/^```text\n([^]*?)^```$/gm),
].map(([, text]) => text);
const isServe = (text: string): boolean => text === 'turnout serve';

let redis: RedisServer;
let shell: GuideShell;
let node: Pasted | undefined;
let newUrl = '';
let oldUrl = '';

beforeAll(async () => {
  await ensureCommand('curl', 'curl');
  redis = await RedisServer.start();
  const [oldPort, newPort] = [await freePort(), await freePort()];
  oldUrl = `http://127.0.0.1:${oldPort}`;
  newUrl = `http://127.0.0.1:${newPort}`;
  shell = await GuideShell.open({
    addresses: {
      '127.0.0.1:3000': `127.0.0.1:${oldPort}`,
      'run.ts 3000': `run.ts ${oldPort}`,
      '127.0.0.1:4000': `127.0.0.1:${newPort}`,
      '127.0.0.1:6379': `127.0.0.1:${redis.port}`,
    },
    env: { TURNOUT_PORT: String(newPort), TURNOUT_URL: newUrl, TURNOUT_DRAIN_MS: '200' },
  });
});
afterAll(async () => {
  await shell?.close();
  await redis?.stop();
});

const follow = (section: string): Promise<string[]> => run(readmeBlocks(section, guide));

/** One after the other; a `turnout serve` takes the place of the node before. @returns what the other blocks printed */
async function run(blocks: readonly Block[]): Promise<string[]> {
  const said: string[] = [];
  for (const { text } of blocks) {
    if (!isServe(text)) said.push(await shell.block(text));
    else {
      await node?.end();
      const started = shell.keep(text);
      node = started;
      const isListening = (): boolean =>
        started
          .said()
          .split('\n')
          .some((line) => listeningUrl(line) !== undefined);
      await until(isListening, () => `turnout serve; it said:\n${started.said()}`);
    }
  }
  return said;
}

/** What an old client was given of everything that there is. */
async function seenBy(url: string, count: number): Promise<AcmeReader> {
  const client = new AcmeClient(url);
  expect(await client.login('bob', 'acme')).toBe(200);
  const reader = new AcmeReader(client);
  await until(
    () => reader.seen.length,
    `${count} updates`,
    (seen) => seen >= count,
  );
  await reader.stop();
  return reader;
}

it('before you begin: the company runs, and an update can be read', async () => {
  const [company, ...rest] = readmeBlocks('Before you begin', guide);
  const started = shell.keep(company?.text ?? '');
  await started.untilSaid(/the company's API is at/);
  const [said = ''] = await Promise.all(rest.map(({ text }) => shell.block(text)));
  expect(said).toContain('"next":2');
});

it('1: stands in front', async () => {
  const [record, check, ...rest] = readmeBlocks('1. Stand in front', guide);
  // Each waits for an idle answer of the company's; neither needs the other.
  const [proposed, checked] = await Promise.all(
    [record, check].map((block) => shell.block(block?.text ?? '')),
  );
  expect(proposed).toContain('# auth.resolve is a placeholder');
  expect(checked).toBe(checkSays);
  const said = await run(rest);
  expect(said.at(-1)).toContain('"next":2');
  expect(said.at(-1)).toMatch(/answered_by="upstream",status="2xx"} 1/);
});

it('2: feeds the log', async () => {
  const said = await follow('2. Feed the log');
  expect(said[0]).toContain(sourceSays);
  expect(said.at(-1)).toContain('"state":"leading"');
  expect(said.at(-1)).toMatch(/#2 +updates note \{"seq":2,"kind":"note","data":\{"text":"second"\}/);
});

it('3: compares in the shadow, and finds no difference', async () => {
  const said = await follow('3. Compare in the shadow');
  expect(said.at(-1)).toMatch(/acme: (no difference|nothing compared yet)/);
  const report = async (): Promise<string> => shell.block('turnout legacy shadow');
  await until(() => report(), `the report:\n${shadowSays}`, shadowSays);
});

it('4: serves the old dialect, and goes back', async () => {
  const said = await follow('4. Serve the old dialect');
  expect(said[0]).toMatch(/^legacy-serve set to 1 %: v\d+, 1\/1 have/m);
  expect(said[1]).toMatch(/answered_by="turnout",status="2xx"} 1/);
  expect(said[2]).toMatch(/^legacy-serve set to 0 %/m);
  const [old, through] = [await seenBy(oldUrl, 2), await seenBy(newUrl, 2)];
  expect(through.seen).toEqual(old.seen);
  expect(through.failed).toBe(0);
});

it('5: moves to WebSocket by the session that is there, and goes back', async () => {
  const [up = '', back = ''] = readmeBlocks('5. Move to WebSocket', guide).map(({ text }) => text);
  const said = await shell.block(up);
  expect(said).toContain('"transport":"websocket"');
  const cookie = await shell.variable('SID');
  const events: unknown[] = [];
  const client = createClient({
    url: newUrl,
    token: () => '',
    services: ['updates'],
    cursor: 'earliest',
    WebSocket,
    // What a browser adds by itself.
    fetch: (url, init) =>
      fetch(url, {
        ...init,
        headers: { ...(init?.headers as Record<string, string>), cookie, origin: newUrl },
      }),
    onEvent: ({ payload }) => events.push(payload),
    onReset: () => events.push('reset'),
  });
  client.start();
  try {
    await until(
      () => events.length,
      'both updates',
      (seen) => seen >= 2,
    );
    expect(client.state).toMatchObject({ phase: 'live', transport: 'websocket' });
    expect(await shell.block(back)).toContain('KILLED');
    await until(
      () => client.state.phase === 'live' && client.state.transport === 'long-poll',
      () => `long-poll; ${JSON.stringify(client.state)}`,
    );
    const { status } = await call(`${oldUrl}/api/updates`, {
      headers: { cookie },
      body: { kind: 'note', data: { text: 'third' } },
    });
    expect(status).toBe(201);
    await until(
      () => events.length,
      'the third',
      (seen) => seen >= 3,
    );
  } finally {
    client.stop();
  }
  expect(events).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
});
