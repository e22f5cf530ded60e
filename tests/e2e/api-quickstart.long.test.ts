/** docs/STREAMING_API_QUICKSTART.md, pasted as it stands against a node that was just started with nothing configured. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PollBody, PublishResult } from '../../schema/http.ts';
import { ensureCommand } from '../support/debian.ts';
import { GuideShell } from '../support/guide-shell.ts';
import type { ErrorAnswer } from '../support/http-client.ts';
import { paste, type Pasted } from '../support/pasted-commands.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';
import { listeningUrl } from '../support/started-process.ts';
import { until } from '../support/until.ts';

let server: Pasted;
let shell: GuideShell;

const blocks = (section: string): string[] =>
  readmeBlocks(section, 'docs/STREAMING_API_QUICKSTART.md').map(({ text }) => text);
/** curl ends no line: answers follow each other as `}{`. */
const answers = <T>(said: string): T[] =>
  said
    .trim()
    .replaceAll('}{', '}\n{')
    .split('\n')
    .map((line) => JSON.parse(line) as T);

beforeAll(async () => {
  await ensureCommand('curl', 'curl');
  const { PATH, HOME } = process.env;
  server = paste('exec node dist/src/main.js', { PATH, HOME, TURNOUT_PORT: '0', TURNOUT_DEMO_CROWD: '0' });
  await server.untilSaid(
    /export ADMIN_TOKEN=\S+\n[^]*"msg":"listening"|"msg":"listening"[^]*export ADMIN_TOKEN=\S+\n/,
  );
  const lines = server.said().split('\n');
  const exported = lines
    .filter((line) => line.startsWith('export '))
    .map((line) => line.slice('export '.length).split('=', 2));
  const host = new URL(lines.map(listeningUrl).find((url) => url !== undefined) ?? '').host;
  shell = await GuideShell.open({
    addresses: { 'localhost:4000': host },
    env: Object.fromEntries(exported) as Record<string, string>,
  });
});
afterAll(async () => {
  await shell?.close();
  await server?.end('SIGKILL');
});

it('publishes, once for an id', async () => {
  const [publish = ''] = blocks('Publish');
  const [first] = answers<PublishResult>(await shell.block(publish));
  expect(first?.results).toEqual([{ seq: 1, id: 'invoice-17' }]);
  const [again] = answers<PublishResult>(await shell.block(publish));
  expect(again?.results).toEqual([{ seq: 1, id: 'invoice-17', duplicate: true }]);
});

it('polls, and goes on at the cursor', async () => {
  const [once = '', loop = ''] = blocks('Poll');
  const [[polled], turns] = (await Promise.all(
    [once, loop].map(async (text) => answers<PollBody>(await shell.block(text))),
  )) as [PollBody[], PollBody[]];
  expect(polled?.events).toMatchObject([{ seq: 1, service: 'finance', payload: { amount: 1200 } }]);
  expect(turns.map(({ events }) => events.length)).toEqual([1, 0]);
});

it('streams, and the SDK follows its user through a kill and back', async () => {
  const [stream = ''] = blocks('Stream');
  const shown = shell.keep(stream);
  const [reader = '', kill = '', unkill = ''] = blocks('The SDK');
  const read = shell.keep(reader);
  await shown.untilSaid(/"type":"ack"[^]*"type":"event"[^]*"amount":1200/);
  await read.untilSaid(/^1 finance revenue {"amount":1200}$/m);
  await read.untilSaid(/transport: 'websocket'/);
  const said = answers<object>(await shell.block(kill));
  expect(said).toMatchObject([{ written: true }, { results: [{ seq: 2 }] }]);
  await read.untilSaid(/^2 finance revenue {"amount":1300}$/m);
  await until(
    () => /transport: 'long-poll'/.test(read.said()),
    () => `long-poll; it said:\n${read.said()}`,
  );
  expect(answers(await shell.block(unkill))).toMatchObject([{ written: true }]);
  await read.untilSaid(/long-poll[^]*transport: 'websocket'/);
  expect(read.said().match(/^\d+ finance/gm)).toEqual(['1 finance', '2 finance']);
  await shown.untilSaid(/"type":"migrate"/);
});

it('says what to do where it is refused', async () => {
  const [refused = ''] = blocks('When it is refused');
  const [answer] = answers<ErrorAnswer>(await shell.block(refused));
  expect(answer?.error).toMatchObject({ code: expect.any(String), retry: 'never' });
});
