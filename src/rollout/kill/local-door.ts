/**
 * Where a node hears `turnout kill --local`: a Unix socket that only its user (and root) can reach. Whoever reaches it may
 * pull this switch and nothing else.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import type { LeveledLogger } from '../../logger.ts';
import {
  localKillAnswerSchema,
  localKillLineBytes,
  localKillRequestSchema,
  parseLine,
  socketOf,
} from './local.ts';

export interface LocalKillDoor {
  /** Undefined: it could not be opened, and the log says why. The kill file and the API still work. */
  readonly path: string | undefined;
  close(): void;
}

export interface LocalKillDoorOptions {
  readonly folder: string;
  readonly pid: number;
  readonly nodeId: string;
  readonly logger: LeveledLogger;
  /** Pulls the switch. */
  readonly kill: (reason: string) => Promise<{ readonly version: number; readonly written: boolean }>;
}

const silenceMs = 5000;

/** Opens it, or logs why it can't. Never throws: a node without this door is worth more than no node. */
export function openLocalKillDoor(options: LocalKillDoorOptions): LocalKillDoor {
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
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw new Error('the folder is not a folder');
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) throw new Error('the folder belongs to another user');
  if ((found.mode & 0o022) !== 0) throw new Error('others may write to the folder');
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
    const request = localKillRequestSchema.safeParse(parseLine(heard.slice(0, end)));
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
