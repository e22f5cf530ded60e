/**
 * `turnout kill --local`: kills every node of this machine without network, token or Redis, over a Unix socket that each
 * node keeps in a folder of its user's. Only that user (and root) can reach it, to pull this switch and for nothing else.
 * First the caller's side, then the node's.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, type Stats } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { jsonIn } from '../../json.ts';
import type { LeveledLogger } from '../../logger.ts';

/** One line of JSON each way. */
const localKillRequestSchema = z.object({ reason: z.string().min(1).max(500) });
const localKillAnswerSchema = z.object({
  node: z.string(),
  /** Version of the rules that the node decides by. */
  version: z.int(),
  /** False: this node obeys, and the others will hear of it when it can write the rules again. */
  written: z.boolean(),
});

export type LocalKill =
  | ({ readonly isKilled: true; readonly socket: string } & z.infer<typeof localKillAnswerSchema>)
  | { readonly isKilled: false; readonly socket: string; readonly problem: string };

interface LocalKillOptions {
  readonly reason: string;
  /** Where the nodes keep their sockets; absent: where they do by default. */
  readonly folder?: string | undefined;
  /** How long a node has to answer. It obeys before it answers. */
  readonly withinMs?: number;
  /** Id of the caller's user; absent: of this process's. */
  readonly uid?: number | undefined;
}

const ending = '.kill';
const folderStart = 'turnout-';

/** Longest line that either side reads. */
const localKillLineBytes = 4096;

/** Where the nodes of a user keep their sockets unless TURNOUT_RUN_DIR says otherwise. */
export const defaultRunFolder = (): string => join(tmpdir(), `${folderStart}${process.getuid?.() ?? 'user'}`);

export const socketOf = (folder: string, pid: number): string => join(folder, `${pid}${ending}`);

/** Where nodes keep their sockets. `owner`: whose it must be; undefined: anybody's, which only root may say. */
interface RunFolder {
  readonly path: string;
  readonly owner: number | undefined;
}

/**
 * Kills each node found, side by side. Empty: no node of this user (root: of anybody) runs here. A folder or socket that
 * another user could have put there is not asked, and is told as not killed. Never throws.
 */
export async function killLocalNodes(options: LocalKillOptions): Promise<readonly LocalKill[]> {
  const told = await Promise.all(foldersOf(options).map((folder) => killIn(folder, options)));
  return told.flat().filter((one) => one !== undefined);
}

async function killIn({ path, owner }: RunFolder, options: LocalKillOptions) {
  const sockets = socketsIn(path);
  const problem = sockets.length === 0 ? undefined : problemOfFolder(path, owner);
  if (problem !== undefined) return [notAsked(path, problem)];
  const told = sockets.map(async (socket) => {
    const theirs = problemOfSocket(path, socket);
    return theirs === undefined ? killAt(socket, options) : notAsked(socket, theirs);
  });
  return Promise.all(told);
}

const notAsked = (socket: string, problem: string): LocalKill => ({
  isKilled: false,
  socket,
  problem: `${problem}: it was not asked`,
});

/** The folder that was named; else this user's own; root, who may have been asked in anybody's name, looks into everybody's. */
function foldersOf({ folder, uid = process.getuid?.() }: LocalKillOptions): RunFolder[] {
  if (folder !== undefined) return [{ path: folder, owner: uid === 0 ? undefined : uid }];
  if (uid !== 0) return [{ path: defaultRunFolder(), owner: uid }];
  return namesIn(tmpdir())
    .filter((name) => name.startsWith(folderStart) && /^\d+$/.test(name.slice(folderStart.length)))
    .map((name) => ({ path: join(tmpdir(), name), owner: Number(name.slice(folderStart.length)) }));
}

const socketsIn = (folder: string): string[] =>
  namesIn(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // No such folder: no node has ever run here.
    return [];
  }
}

/** Why others could have put a socket of theirs there, or could take one away; undefined: they couldn't. */
function problemOfFolder(path: string, owner: number | undefined): string | undefined {
  const found = statsOf(path);
  if (found?.isDirectory() !== true) return 'the folder is not a folder';
  if (owner !== undefined && found.uid !== owner) return 'the folder belongs to another user';
  return (found.mode & 0o022) === 0 ? undefined : 'others may write to the folder';
}

/** A link in the folder of a node's user would have root speak to a socket, and remove one, that this user can't reach. */
function problemOfSocket(folder: string, path: string): string | undefined {
  const found = statsOf(path);
  if (found?.isSocket() === false) return 'it is no socket';
  const isTheirs = found === undefined || found.uid === statsOf(folder)?.uid;
  return isTheirs ? undefined : 'the socket belongs to another user than its folder';
}

/** Of the path itself, where it is a link; undefined where there is nothing, or nothing that may be looked at. */
function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Undefined: nobody listens there any more. */
function killAt(path: string, { reason, withinMs = 5000 }: LocalKillOptions): Promise<LocalKill | undefined> {
  return new Promise((resolve) => {
    const failed = (problem: string): void => resolve({ isKilled: false, socket: path, problem });
    const socket = connect(path);
    let heard = '';
    socket.setEncoding('utf8');
    socket.setTimeout(withinMs, () => {
      failed(`no answer within ${withinMs} ms`);
      socket.destroy();
    });
    socket.once('connect', () => socket.write(`${JSON.stringify({ reason })}\n`));
    socket.on('data', (text: string) => {
      heard += text;
      if (heard.length > localKillLineBytes) socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT') return failed(error.message);
      removeStale(path);
      resolve(undefined);
    });
    socket.once('close', () => {
      const answer = localKillAnswerSchema.safeParse(jsonIn(heard));
      if (answer.success) resolve({ isKilled: true, socket: path, ...answer.data });
      else failed('it closed without an answer');
    });
  });
}

/** What a node that was killed left behind. */
function removeStale(path: string): void {
  try {
    if (statsOf(path)?.isSocket() === true) rmSync(path, { force: true });
  } catch {
    // It is gone, or isn't ours to remove.
  }
}

/** Undefined `path`: it could not be opened, and the log says why. The kill file and the API still work. */
export type LocalKillDoor = ReturnType<typeof openLocalKillDoor>;

interface LocalKillDoorOptions {
  readonly folder: string;
  readonly pid: number;
  readonly nodeId: string;
  readonly logger: LeveledLogger;
  /** Pulls the switch. */
  readonly kill: (reason: string) => Promise<{ readonly version: number; readonly written: boolean }>;
}

const silenceMs = 5000;

/** Opens it, or logs why it can't. Never throws: a node without this door is worth more than no node. */
export function openLocalKillDoor(options: LocalKillDoorOptions) {
  const { folder, pid, logger } = options;
  const path = socketOf(folder, pid);
  const unheard = (error: unknown): void =>
    logger.warn({ path, err: error }, 'turnout kill --local will not be heard');
  const server = createServer({ allowHalfOpen: true }, (socket) => hear(socket, options));
  server.maxConnections = 16;
  server.on('error', unheard);
  server.unref();
  try {
    ownFolder(folder);
    // Left by a process of this id that is no more.
    rmSync(path, { force: true });
    server.listen(path, () => {
      try {
        chmodSync(path, 0o600);
      } catch (error) {
        // Taken away since: by a tidy machine, or a node that has this process id in another container.
        unheard(error);
      }
    });
  } catch (error) {
    unheard(error);
    return { path: undefined, close: () => undefined };
  }
  return { path, close: () => void server.close() };
}

/** @throws when somebody else could put a socket of theirs there, or take ours away. */
function ownFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const problem = problemOfFolder(folder, process.getuid?.());
  if (problem !== undefined) throw new Error(problem);
}

function hear(socket: Socket, { nodeId, logger, kill }: LocalKillDoorOptions): void {
  let heard = '';
  socket.setEncoding('utf8');
  socket.setTimeout(silenceMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    heard += text;
    const end = heard.indexOf('\n');
    if (end === -1 && heard.length <= localKillLineBytes) return;
    socket.removeAllListeners('data').resume();
    const request = localKillRequestSchema.safeParse(jsonIn(heard.slice(0, end)));
    if (end === -1 || !request.success) return void socket.destroy();
    kill(request.data.reason).then(
      ({ version, written }) =>
        socket.end(`${JSON.stringify(localKillAnswerSchema.parse({ node: nodeId, version, written }))}\n`),
      (error: unknown) => {
        logger.error({ err: error }, 'a local kill failed');
        socket.destroy();
      },
    );
  });
}
