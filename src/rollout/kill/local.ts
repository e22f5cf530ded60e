/**
 * `turnout kill --local`: kills every node of this machine without network, token or Redis, over a Unix socket that each
 * node keeps in a folder of its user's. This is the caller's side; local-kill-door.ts is the node's.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** One line of JSON each way. */
export const localKillRequestSchema = z.object({ reason: z.string().min(1).max(500) });
export const localKillAnswerSchema = z.object({
  node: z.string(),
  /** Version of the rules that the node decides by. */
  version: z.int(),
  /** False: this node obeys, and the others will hear of it when it can write the rules again. */
  written: z.boolean(),
});

export type LocalKill =
  | ({ readonly isKilled: true; readonly socket: string } & z.infer<typeof localKillAnswerSchema>)
  | { readonly isKilled: false; readonly socket: string; readonly problem: string };

export interface LocalKillOptions {
  readonly reason: string;
  /** Where the nodes keep their sockets; absent: where they do by default. */
  readonly folder?: string | undefined;
  /** How long a node has to answer. It obeys before it answers. */
  readonly withinMs?: number;
}

const ending = '.kill';
const folderStart = 'turnout-';

/** Longest line that either side reads. */
export const localKillLineBytes = 4096;

/** Where the nodes of a user keep their sockets unless TURNOUT_RUN_DIR says otherwise. */
export const defaultRunFolder = (): string => join(tmpdir(), `${folderStart}${process.getuid?.() ?? 'user'}`);

export const socketOf = (folder: string, pid: number): string => join(folder, `${pid}${ending}`);

/** Kills each node found, side by side. Empty: no node of this user (root: of anybody) runs here. Never throws. */
export async function killLocalNodes(options: LocalKillOptions): Promise<readonly LocalKill[]> {
  const folders = options.folder === undefined ? usualFolders() : [options.folder];
  const told = await Promise.all(folders.flatMap(socketsIn).map((socket) => killAt(socket, options)));
  return told.filter((one) => one !== undefined);
}

/** This user's folder; root, who may have been asked in anybody's name, looks into everybody's. */
function usualFolders(): string[] {
  if (process.getuid?.() !== 0) return [defaultRunFolder()];
  return namesIn(tmpdir())
    .filter((name) => name.startsWith(folderStart) && /^\d+$/.test(name.slice(folderStart.length)))
    .map((name) => join(tmpdir(), name));
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
      const answer = localKillAnswerSchema.safeParse(parseLine(heard));
      if (answer.success) resolve({ isKilled: true, socket: path, ...answer.data });
      else failed('it closed without an answer');
    });
  });
}

/** What a node that was killed left behind. */
function removeStale(path: string): void {
  try {
    if (lstatSync(path).isSocket()) rmSync(path, { force: true });
  } catch {
    // It is gone, or isn't ours to remove.
  }
}

/** What either side said; undefined where that is no JSON. */
export function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
