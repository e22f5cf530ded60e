/**
 * The newcomer's commands, run as they are pasted: the lines that the server prints, the API quickstart's five checks and
 * the README's rollout section, with the real wscat and curl. Only the port is replaced: another server may hold 4000.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '../../schema/envelope.ts';
import type { ServerFrame } from '../../schema/frames.ts';
import type { NodeMetrics, PollBody } from '../../schema/http.ts';
import { ensureCommand } from '../support/debian.ts';
import { paste, type Pasted } from '../support/pasted-commands.ts';
import { freePort } from '../support/ports.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';
import { RedisServer } from '../support/redis.ts';
import { root } from '../support/sources.ts';
import { listeningUrl } from '../support/started-process.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);

const fencesIn = (text: string): string[] =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((found) => found[1] ?? '');

/** The `sh` blocks under a heading of the README or, for the five checks, of the API quickstart, in order. */
const blocksUnder = (heading: string): string[] =>
  readmeBlocks(heading, /^\d\. /.test(heading) ? 'docs/STREAMING_API_QUICKSTART.md' : 'README.md').map(
    ({ text }) => text,
  );

/** Lines that came in full: what is being printed just now is not one yet. */
const linesOf = (pasted: Pasted): string[] => pasted.said().split('\n').slice(0, -1);

/** A stream that wscat shows. */
class Shown {
  private readonly pasted: Pasted;

  constructor(pasted: Pasted) {
    this.pasted = pasted;
  }

  get frames(): ServerFrame[] {
    const json = linesOf(this.pasted).filter((line) => line.startsWith('{'));
    return json.map((line) => JSON.parse(line) as ServerFrame);
  }

  get events(): Envelope[] {
    return this.frames.flatMap((frame) => (frame.type === 'event' ? frame.events : []));
  }

  async shows(what: string, fact: () => boolean): Promise<void> {
    await until(fact, () => `${what}; wscat showed:\n${this.pasted.said()}`);
  }
}

describe("the README's commands", () => {
  let env: NodeJS.ProcessEnv;
  let host = '';
  let server: Pasted;
  /** Everything else that runs: ended after each test. */
  const open = new Set<Pasted>();

  const here = (script: string): string => script.replaceAll('localhost:4000', host);
  const metrics = (): string => blocksUnder('5. The pool, and the ping').at(-1) ?? '';
  /** Pastes commands that go on running. */
  const keep = (script: string): Pasted => {
    const pasted = paste(here(script), env);
    open.add(pasted);
    return pasted;
  };
  const show = (script: string): Shown => new Shown(keep(script));
  /** The three commands that the server prints. */
  const printed = (): string[] => linesOf(server).filter((line) => /^(curl|npx) /.test(line));

  /** Runs a fence to its end. @returns the JSON that its commands printed, in order */
  async function answersOf(script: string): Promise<unknown[]> {
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', here(script)], { cwd: root, env });
    // curl ends no line: answers follow each other as `}{`.
    const answers = stdout.trim().replaceAll('}{', '}\n{').split('\n');
    return answers.map((answer) => JSON.parse(answer) as unknown);
  }

  beforeAll(async () => {
    await ensureCommand('curl', 'curl');
    const { PATH, HOME } = process.env;
    const settings = { TURNOUT_PORT: '0', TURNOUT_PING_MS: '1000' };
    server = paste('exec node dist/src/main.js', { PATH, HOME, ...settings });
    const url = (): string | undefined =>
      linesOf(server)
        .map(listeningUrl)
        .find((found) => found !== undefined);
    const said = (): string => `the server; it said:\n${server.said()}`;
    await until(() => url() !== undefined && printed().length === 3, said);
    host = new URL(url() ?? '').host;
    // What `export` would put there when pasted.
    const exported = linesOf(server)
      .filter((line) => line.startsWith('export '))
      .map((line) => line.slice('export '.length).split('=', 2));
    env = { PATH, HOME, ...(Object.fromEntries(exported) as Record<string, string>) };
  });

  afterEach(async () => {
    for (const pasted of open) await pasted.end();
    open.clear();
  });

  afterAll(() => server.end());

  it('follow three tokens to paste', () => {
    expect(Object.keys(env)).toEqual(['PATH', 'HOME', 'TOKEN', 'PRODUCER_TOKEN', 'ADMIN_TOKEN']);
  });

  it('1, 2: connect with wscat, acknowledged at seq 0, and show what is published as seq 1', async () => {
    const [connect = ''] = blocksUnder('1. Connect');
    const stream = show(connect);
    await stream.shows('an ack', () => stream.frames.length > 0);
    expect(stream.frames[0]).toMatchObject({ type: 'ack', seq: 0, timestamp: expect.any(String) });

    const [publish = ''] = blocksUnder('2. Publish one event');
    await answersOf(publish);
    await stream.shows('the event', () => stream.events.length > 0);
    const frame = stream.frames.find(({ type }) => type === 'event');
    expect(frame).toMatchObject({
      type: 'event',
      service: 'finance',
      seq: 1,
      events: [{ payload: { amount: 1200 } }],
    });
  });

  it('3, 4: reconnect with lastSeq, replay what was missed, and compress one large event', async () => {
    const [publish = '', connect = '', poll = ''] = blocksUnder('3. Reconnect and miss nothing');
    await answersOf(publish);
    const stream = show(connect);
    await stream.shows('both events', () => stream.events.length >= 2);
    expect(stream.frames[0]).toMatchObject({ type: 'ack', seq: 1 });
    expect(stream.events.map(({ seq }) => seq)).toEqual([2, 3]);
    const [answer] = (await answersOf(poll)) as PollBody[];
    expect(answer?.events).toEqual(stream.events);

    const [bulk = ''] = blocksUnder('4. One large event, compressed');
    const [before, , after] = (await answersOf(bulk)) as NodeMetrics[];
    await stream.shows('the large event', () => stream.events.length === 3);
    expect(stream.events[2]).toMatchObject({ service: 'guest', seq: 4 });
    await until(
      async () => {
        const [now] = (await answersOf(metrics())) as NodeMetrics[];
        return now?.compressedMessages === (before?.compressedMessages ?? 0) + 1;
      },
      `compressedMessages to go up by one from ${JSON.stringify(before)}; right after: ${JSON.stringify(after)}`,
    );
    expect(after?.missedEventsReplayed).toBeGreaterThanOrEqual(2);
  });

  it('5: open 100 streams on ten subscriptions or fewer, and show pings', async () => {
    const [hundred = '', connect = ''] = blocksUnder('5. The pool, and the ping');
    // In a terminal the command goes to the background and the shell stays; here the shell must.
    keep(`${hundred}\nwait`);
    const stream = show(connect);
    await stream.shows('two pings', () => stream.frames.filter(({ type }) => type === 'ping').length >= 2);
    const all = { totalConnections: 0, totalSubscriptions: 0 };
    await until(async () => {
      const [now] = (await answersOf(metrics())) as NodeMetrics[];
      Object.assign(all, now?.connectionPoolStats);
      return all.totalConnections > 100;
    }, 'more than 100 connections');
    expect(all.totalSubscriptions).toBeLessThanOrEqual(10);
  });

  it('turn the percentage, kill and bring back', async () => {
    const [look = '', percent = '', kill = '', unkill = ''] = blocksUnder(
      'Turn the percentage, pull the kill switch',
    );
    const bob = { org: 'demo', user: 'bob' };
    const [rollout, atFirst] = await answersOf(look);
    expect(rollout).toMatchObject({ enabled: true, killed: false, allowlist: ['ada'] });
    expect(atFirst).toMatchObject({ ...bob, transport: 'long-poll', reason: 'percent' });

    const [ten, all, decided] = await answersOf(percent);
    expect([ten, all]).toMatchObject([{ written: true }, { written: true }]);
    expect(decided).toMatchObject({ ...bob, transport: 'websocket', cohort: 'canary', reason: 'rollout' });

    const [connect = ''] = blocksUnder('1. Connect');
    const stream = show(connect);
    await stream.shows('an ack', () => stream.frames.length > 0);
    const [killed, negotiated] = await answersOf(kill);
    expect(killed).toMatchObject({ written: true });
    expect(negotiated).toMatchObject({ transport: 'long-poll', reason: 'kill-switch' });
    await stream.shows('migrate', () => stream.frames.some(({ type }) => type === 'migrate'));

    const [back, audit] = await answersOf(unkill);
    expect(back).toMatchObject({ written: true });
    const { entries } = audit as { entries: { action: string; reason: string }[] };
    expect(entries.map(({ action }) => action)).toEqual(['unkill', 'kill', 'percent', 'percent', 'start']);
  });

  it('start two nodes on one Redis: what is told to one, the other says', async () => {
    const [start = '', use = ''] = blocksUnder('Several nodes');
    const redis = await RedisServer.start();
    const [first, second] = [await freePort(), await freePort()];
    const moved = (script: string): string =>
      script
        .replaceAll('6379', String(redis.port))
        .replaceAll('4000', String(first))
        .replaceAll('4001', String(second))
        // Built already, and other tests run what was built.
        .replace('npm run build', 'true');
    const isUp = [first, second].map(
      (port) => `until curl -sf http://127.0.0.1:${port}/readyz > /dev/null; do sleep 0.1; done`,
    );
    const script = ['set -m', moved(start), ...isUp, moved(use), 'wait'].join('\n');
    const { PATH, HOME } = process.env;
    try {
      const { stdout, stderr } = await run('bash', ['-c', script], { cwd: root, env: { PATH, HOME } });
      expect(stdout, stderr).toMatch(/^nodes +2\/2 have/m);
      expect(stdout).toMatch(/^percent set to 100 %: .*2\/2 have/m);
      const negotiated = stdout.split('\n').find((line) => line.startsWith('{"transport"')) ?? '';
      expect(JSON.parse(negotiated.replace(/\}\{"level.*$/, '}'))).toMatchObject({
        transport: 'websocket',
        reason: 'rollout',
      });
    } finally {
      await redis.stop();
    }
  });

  it('of the rollout guide are answered without an error', async () => {
    const guide = readFileSync(join(root, 'docs/guides/rollout.md'), 'utf8');
    const answers = await answersOf(fencesIn(guide).join(''));
    expect(answers.length).toBeGreaterThanOrEqual(7);
    expect(answers.filter((answer) => Object.hasOwn(answer as object, 'error'))).toEqual([]);
    const { entries } = answers.at(-1) as { entries: unknown[] };
    expect(entries[0]).toMatchObject({ action: 'percent', to: 25, reason: 'second step' });
  });

  it('are also printed by the server: what is published arrives by both transports', async () => {
    const [poll = '', stream = '', publish = ''] = printed();
    const shown = show(stream);
    await shown.shows('an ack', () => shown.frames.length > 0);
    const [published] = (await answersOf(publish)) as { results: { seq: number }[] }[];
    const seq = published?.results[0]?.seq;
    await shown.shows(`event ${seq}`, () => shown.events.some((event) => event.seq === seq));
    const [answer] = (await answersOf(poll)) as PollBody[];
    expect(answer?.events.at(-1)).toEqual(shown.events.at(-1));
  });
});
