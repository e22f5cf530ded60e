import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  killLocalNodes,
  type LocalKillDoor,
  openLocalKillDoor,
  socketOf,
} from '../../../src/rollout/kill/local.ts';
import { until } from '../../support/until.ts';

let folder: string;
let reasons: string[];
let logged: string[];
const doors: LocalKillDoor[] = [];
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'run-')), 'turnout');
  reasons = [];
  logged = [];
});
afterEach(() => {
  for (const door of doors.splice(0)) door.close();
  rmSync(join(folder, '..'), { recursive: true });
});

const log = (_fields: object, message: string): void => void logged.push(message);

async function open(nodeId: string, pid: number): Promise<string> {
  const door = openLocalKillDoor({
    folder,
    pid,
    nodeId,
    logger: { info: log, warn: log, error: log },
    async kill(reason) {
      reasons.push(`${nodeId}: ${reason}`);
      return { version: 7, written: false };
    },
  });
  doors.push(door);
  const path = socketOf(folder, pid);
  await until(() => door.path === undefined || existsSync(path), 'the door');
  return path;
}

describe('kill --local', () => {
  it('kills every node of the folder, and says what each could write', async () => {
    await open('node-a', 1);
    await open('node-b', 2);
    const told = await killLocalNodes({ folder, reason: 'smoke' });
    expect(told.map((one) => (one.isKilled ? one.node : one.problem)).toSorted()).toEqual([
      'node-a',
      'node-b',
    ]);
    expect(told).toContainEqual(expect.objectContaining({ isKilled: true, version: 7, written: false }));
    expect(reasons.toSorted()).toEqual(['node-a: smoke', 'node-b: smoke']);
  });

  it('finds nobody where nobody runs', async () => {
    expect(await killLocalNodes({ folder, reason: 'r' })).toEqual([]);
  });

  it('ends no node whose socket is taken away while it opens', async () => {
    const opening = open('node-a', 1);
    rmSync(socketOf(folder, 1));
    await until(() => logged.length, 'a log line');
    expect(logged).toEqual(['turnout kill --local will not be heard']);
    // `open` waits for the socket that is gone.
    writeFileSync(socketOf(folder, 1), '');
    await opening;
  });

  it('passes over what a dead node left, and takes it away', async () => {
    const live = await open('node-a', 1);
    const dead = socketOf(folder, 2);
    // A socket file without a listener, as SIGKILL leaves it: bound by a process that ends without closing.
    const bind = `require('node:net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', bind]);
    expect(existsSync(dead)).toBe(true);
    expect(await killLocalNodes({ folder, reason: 'r' })).toMatchObject([{ isKilled: true, socket: live }]);
    expect(existsSync(dead)).toBe(false);
  });

  it('says which node did not answer', async () => {
    await open('node-a', 1);
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(socketOf(folder, 3), resolve));
    const told = await killLocalNodes({ folder, reason: 'r', withinMs: 50 });
    expect(told.filter((one) => !one.isKilled)).toMatchObject([
      { problem: expect.stringContaining('50 ms') },
    ]);
    expect(told.filter((one) => one.isKilled)).toHaveLength(1);
    mute.close();
  });
});

describe('the door', () => {
  it('is its user’s alone', async () => {
    const path = await open('node-a', 1);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    await until(
      () => statSync(path).mode & 0o777,
      'the socket’s mode',
      (seen) => seen === 0o600,
    );
  });

  it('stays shut where others could put a socket in its place', async () => {
    await open('node-a', 1);
    chmodSync(folder, 0o777);
    await open('node-b', 2);
    expect(logged).toEqual(['turnout kill --local will not be heard']);
    expect(existsSync(socketOf(folder, 2))).toBe(false);
  });

  it('stays shut, and the node runs, where its folder cannot be', async () => {
    writeFileSync(folder, '');
    await open('node-a', 1);
    expect(logged).toHaveLength(1);
    rmSync(folder);
  });

  it.each([
    ['an empty object', '{}'],
    ['no JSON', 'kill'],
    ['no reason', '{"reason":""}'],
    ['a line without end', 'x'.repeat(5000)],
  ])('does nothing on %s', async (_what, line) => {
    const path = await open('node-a', 1);
    const socket = connect(path);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.on('error', () => undefined);
      socket.write(`${line}\n`);
    });
    expect(reasons).toEqual([]);
  });
});
