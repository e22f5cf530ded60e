/** `turnout kill --local` speaks only to sockets that the node's own user can have put where they are, root's above all. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { killLocalNodes, openLocalKillDoor, socketOf } from '../../src/rollout/kill/local.ts';
import { until } from '../support/until.ts';

const me = process.getuid?.() ?? 0;
const root = 0;
let tmp: string;
const closers: (() => unknown)[] = [];
beforeEach(() => {
  tmp = mkdtempSync(join(tmpdir(), 'turnout-owners-'));
  vi.stubEnv('TMPDIR', tmp);
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  vi.unstubAllEnvs();
  rmSync(tmp, { recursive: true });
});

/** A node with its door in `turnout-<uid>`, a folder of this process's user. */
async function openNode(uid: number, pid = 1) {
  const folder = join(tmp, `turnout-${uid}`);
  const reasons: string[] = [];
  const log = (): void => undefined;
  const door = openLocalKillDoor({
    folder,
    pid,
    nodeId: `node-${uid}`,
    logger: { info: log, warn: log, error: log },
    async kill(reason) {
      reasons.push(reason);
      return { version: 7, written: true };
    },
  });
  closers.push(() => door.close());
  await until(() => existsSync(socketOf(folder, pid)), 'the door');
  return { folder, reasons };
}

it('root kills the nodes of a user whose folder it is, and not what stands in a folder made in another’s name', async () => {
  const own = await openNode(me);
  const forged = await openNode(me + 1);
  const told = await killLocalNodes({ reason: 'smoke', uid: root });
  expect(told).toEqual([
    expect.objectContaining({ isKilled: true, node: `node-${me}` }),
    { isKilled: false, socket: forged.folder, problem: expect.stringContaining('belongs to another user') },
  ]);
  expect([own.reasons, forged.reasons]).toEqual([['smoke'], []]);
});

it('nobody’s kill goes into a folder that others may write to, named or not', async () => {
  const { folder, reasons } = await openNode(me);
  chmodSync(folder, 0o777);
  const others = expect.stringContaining('others may write') as string;
  for (const options of [{ uid: root }, { folder, uid: root }, { folder }])
    expect(await killLocalNodes({ reason: 'r', ...options })).toEqual([
      { isKilled: false, socket: folder, problem: others },
    ]);
  expect(reasons).toEqual([]);
});

it('a user’s kill does not go into a folder of another user', async () => {
  const { folder, reasons } = await openNode(me);
  const told = await killLocalNodes({ reason: 'r', folder, uid: me + 1 });
  expect(told).toMatchObject([{ isKilled: false, problem: expect.stringContaining('another user') }]);
  expect(reasons).toEqual([]);
});

it('a link in the folder leads to no other socket, and none is taken away by it', async () => {
  const { folder } = await openNode(me);
  const heard: string[] = [];
  const other = createServer((socket) => void socket.on('data', (data) => heard.push(data.toString())));
  closers.push(() => other.close());
  await new Promise<void>((resolve) => other.listen(join(tmp, 'other.sock'), resolve));
  symlinkSync(join(tmp, 'other.sock'), socketOf(folder, 2));
  writeFileSync(socketOf(folder, 3), '');
  mkdirSync(join(tmp, 'elsewhere'));
  symlinkSync(join(tmp, 'elsewhere'), join(tmp, `turnout-${me + 2}`));
  writeFileSync(join(tmp, 'elsewhere', '4.kill'), '');
  const told = await killLocalNodes({ reason: 'r', uid: root, withinMs: 1000 });
  expect(told).toHaveLength(4);
  expect(told.filter(({ isKilled }) => isKilled)).toMatchObject([{ node: `node-${me}` }]);
  const problems = told.flatMap((one) => (one.isKilled ? [] : one.problem)).toSorted();
  expect(problems).toEqual([
    'it is no socket: it was not asked',
    'it is no socket: it was not asked',
    'the folder is not a folder: it was not asked',
  ]);
  expect(heard).toEqual([]);
  expect(existsSync(join(tmp, 'other.sock'))).toBe(true);
});

it('an empty folder of whomever says nothing', async () => {
  mkdirSync(join(tmp, `turnout-${me + 1}`));
  expect(await killLocalNodes({ reason: 'r', uid: root })).toEqual([]);
});
