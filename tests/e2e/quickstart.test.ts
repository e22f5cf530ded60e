/**
 * The README's own commands, run as a newcomer pastes them: the lines that the server prints, the five checks and the
 * rollout section, with the real wscat and curl. Only the port is replaced: another server may hold 4000.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '../../schema/envelope.ts';
import type { ServerFrame } from '../../schema/frames.ts';
import type { NodeMetrics, PollBody } from '../../schema/http.ts';
import { ensureCommand } from '../support/debian.ts';
import { root } from '../support/sources.ts';
import { listeningUrl } from '../support/started-process.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const startMs = 30_000;
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The `sh` fences under a heading of the README, up to the next heading. */
function fencesUnder(heading: string): string[] {
  const start = readme.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`the README has no heading ${heading}`);
  const rest = readme.slice(start + heading.length + 2);
  const end = rest.search(/^#{1,6} /m);
  const section = end < 0 ? rest : rest.slice(0, end);
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((found) => found[1] ?? '');
}

const children = new Set<ChildProcess>();

/** Starts a shell with standard input held open (wscat quits at its end), in a group of its own, and keeps its lines. */
function start(script: string, env: NodeJS.ProcessEnv): { child: ChildProcess; lines: string[] } {
  const child = spawn('bash', ['-c', script], { cwd: root, env, detached: true, stdio: 'pipe' });
  children.add(child);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line));
  return { child, lines };
}

/** Ends the process, and the children that it started, by their group. */
async function end(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    // The whole group has ended by itself.
  }
  await until(() => child.exitCode !== null || child.signalCode !== null, 'the end of a command', 20_000);
}

/** A stream that wscat shows. */
class Shown {
  private readonly started: { child: ChildProcess; lines: string[] };

  constructor(script: string, env: NodeJS.ProcessEnv) {
    this.started = start(script, env);
  }

  get frames(): ServerFrame[] {
    return this.started.lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as ServerFrame);
  }

  get events(): Envelope[] {
    return this.frames.flatMap((frame) => (frame.type === 'event' ? frame.events : []));
  }

  async shows(what: string, fact: () => boolean): Promise<void> {
    await until(fact, () => `${what}; wscat showed:\n${this.started.lines.join('\n')}`, 20_000);
  }

  end = (): Promise<void> => end(this.started.child);
}

describe("the README's commands", () => {
  let env: NodeJS.ProcessEnv;
  let host = '';
  let printed: string[] = [];
  let server: ChildProcess;

  const here = (script: string): string => script.replaceAll('localhost:4000', host);
  const show = (script: string): Shown => new Shown(here(script), env);

  /** Runs a fence to its end. @returns the JSON that its commands printed, in order */
  async function paste(script: string): Promise<unknown[]> {
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', here(script)], { cwd: root, env });
    // curl ends no line: answers follow each other as `}{`.
    const answers = stdout.trim().replaceAll('}{', '}\n{').split('\n');
    return answers.map((answer) => JSON.parse(answer) as unknown);
  }

  beforeAll(async () => {
    await ensureCommand('curl', 'curl');
    const { PATH, HOME } = process.env;
    const started = start('exec node dist/src/main.js', {
      PATH,
      HOME,
      TURNOUT_PORT: '0',
      TURNOUT_PING_MS: '1000',
    });
    server = started.child;
    printed = started.lines;
    const said = (): string => `the server; it said:\n${printed.join('\n')}`;
    const commands = (): string[] => printed.filter((line) => /^(curl|npx) /.test(line));
    const isUp = (): boolean =>
      printed.some((line) => listeningUrl(line) !== undefined) && commands().length === 3;
    await until(isUp, said, startMs);
    host = new URL(listeningUrl(printed.find((line) => listeningUrl(line) !== undefined) ?? '') ?? '').host;
    // What `export` would put there when pasted.
    const exported = printed
      .filter((line) => line.startsWith('export '))
      .map((line) => line.slice('export '.length).split('=', 2));
    expect(exported.map(([name]) => name)).toEqual(['TOKEN', 'PRODUCER_TOKEN', 'ADMIN_TOKEN']);
    env = { PATH, HOME, ...(Object.fromEntries(exported) as Record<string, string>) };
  }, startMs + 10_000);

  afterEach(async () => {
    for (const child of children) if (child !== server) await end(child);
  });

  afterAll(async () => {
    await end(server);
  });

  it('1: connects with wscat and is acknowledged at seq 0', async () => {
    const [connect = ''] = fencesUnder('### 1. Connect');
    const stream = show(connect);
    await stream.shows('an ack', () => stream.frames.length > 0);
    expect(stream.frames[0]).toMatchObject({ type: 'ack', seq: 0, timestamp: expect.any(String) });

    const [publish = ''] = fencesUnder('### 2. Publish one event');
    await paste(publish);
    await stream.shows('the event', () => stream.events.length > 0);
    const frame = stream.frames.find(({ type }) => type === 'event');
    expect(frame).toMatchObject({
      type: 'event',
      service: 'finance',
      seq: 1,
      events: [{ payload: { amount: 1200 } }],
    });
  });

  it('3: reconnects with lastSeq and gets what it missed, in order, on both transports', async () => {
    const [publish = '', connect = '', poll = ''] = fencesUnder('### 3. Reconnect and miss nothing');
    await paste(publish);
    const stream = show(connect);
    await stream.shows('both events', () => stream.events.length >= 2);
    expect(stream.frames[0]).toMatchObject({ type: 'ack', seq: 1 });
    expect(stream.events.map(({ seq }) => seq)).toEqual([2, 3]);
    const [answer] = (await paste(poll)) as PollBody[];
    expect(answer?.events).toEqual(stream.events);

    const [bulk = ''] = fencesUnder('### 4. One large event, compressed');
    const [before, , after] = (await paste(bulk)) as NodeMetrics[];
    await stream.shows('the large event', () => stream.events.length === 3);
    expect(stream.events[2]).toMatchObject({ service: 'guest', seq: 4 });
    await until(
      async () => {
        const [now] = (await paste(metrics())) as NodeMetrics[];
        return now?.compressedMessages === (before?.compressedMessages ?? 0) + 1;
      },
      `compressedMessages to go up by one from ${JSON.stringify(before)}; right after: ${JSON.stringify(after)}`,
    );
    expect(after?.missedEventsReplayed).toBeGreaterThanOrEqual(2);
  });

  const metrics = (): string => fencesUnder('### 5. The pool, and the ping').at(-1) ?? '';

  it('5: serves 100 streams by ten subscriptions or fewer, and pings', async () => {
    const [hundred = '', connect = ''] = fencesUnder('### 5. The pool, and the ping');
    // In a terminal the command goes to the background and the shell stays; here the shell must.
    start(`${here(hundred)}wait`, env);
    const stream = show(connect);
    await stream.shows('two pings', () => stream.frames.filter(({ type }) => type === 'ping').length >= 2);
    const all = { totalConnections: 0, totalSubscriptions: 0 };
    await until(async () => {
      const [now] = (await paste(metrics())) as NodeMetrics[];
      Object.assign(all, now?.connectionPoolStats);
      return all.totalConnections > 100;
    }, 'more than 100 connections');
    expect(all.totalSubscriptions).toBeLessThanOrEqual(10);
  });

  it('turn the percentage, kill and bring back', async () => {
    const [look = '', percent = '', kill = '', unkill = ''] = fencesUnder(
      '## Turn the percentage, pull the kill switch',
    );
    const bob = { org: 'demo', user: 'bob' };
    const [rollout, atFirst] = await paste(look);
    expect(rollout).toMatchObject({ enabled: true, killed: false, allowlist: ['ada'] });
    expect(atFirst).toMatchObject({ ...bob, transport: 'long-poll', reason: 'percent' });

    const [ten, all, decided] = await paste(percent);
    expect([ten, all]).toMatchObject([{ written: true }, { written: true }]);
    expect(decided).toMatchObject({ ...bob, transport: 'websocket', cohort: 'canary', reason: 'rollout' });

    const [connect = ''] = fencesUnder('### 1. Connect');
    const stream = show(connect);
    await stream.shows('an ack', () => stream.frames.length > 0);
    const [killed, negotiated] = await paste(kill);
    expect(killed).toMatchObject({ written: true });
    expect(negotiated).toMatchObject({ transport: 'long-poll', reason: 'kill-switch' });
    await stream.shows('migrate', () => stream.frames.some(({ type }) => type === 'migrate'));

    const [back, audit] = await paste(unkill);
    expect(back).toMatchObject({ written: true });
    const { entries } = audit as { entries: { action: string; reason: string }[] };
    expect(entries.map(({ action }) => action)).toEqual(['unkill', 'kill', 'percent', 'percent', 'start']);
  });

  it('are also printed by the server: what is published arrives by both transports', async () => {
    const [poll = '', stream = '', publish = ''] = printed.filter((line) => /^(curl|npx) /.test(line));
    const shown = show(stream);
    await shown.shows('an ack', () => shown.frames.length > 0);
    const [published] = (await paste(publish)) as { results: { seq: number }[] }[];
    const seq = published?.results[0]?.seq;
    await shown.shows(`event ${seq}`, () => shown.events.some((event) => event.seq === seq));
    const [answer] = (await paste(poll)) as PollBody[];
    expect(answer?.events.at(-1)).toEqual(shown.events.at(-1));
  });
});
