/** Makes and removes the kill file that nodes of this machine watch. Needs no network, no token and no Redis. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { codeIn } from '../errors.ts';

const maxShown = 500;

/**
 * The kill file that stands: when it was made, ISO, and what it holds, which is who made it and why. Undefined where none does.
 * @throws what the file system says, a missing file apart
 */
export function standingKillFile(path: string): { since: string; text: string } | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const text = found.isFile() ? readFileSync(path, 'utf8').slice(0, maxShown).trim() : '';
  return { since: found.mtime.toISOString(), text };
}

/**
 * Makes it unless it stands. It appears with its text or not at all, and outlives a power cut.
 * @param draft ends the name of the file that it is written to first; another for every call
 * @returns false where one stood already: its text is kept, for it says who was first
 */
export function makeKillFile(path: string, text: string, draft: string): boolean {
  const draftPath = `${path}.${draft}`;
  try {
    writeFileSync(draftPath, `${text}\n`, { flag: 'wx', mode: 0o644, flush: true });
    publish(draftPath, path);
    syncFolder(dirname(path));
    return true;
  } catch (error) {
    if (codeIn(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draftPath, { force: true });
  }
}

/** Gives the draft its name. @throws EEXIST where one stands */
function publish(draftPath: string, path: string): void {
  try {
    // Unlike a rename, a link never replaces what another has made meanwhile.
    linkSync(draftPath, path);
  } catch (error) {
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(codeIn(error) ?? '')) throw error;
    // A file system without links: a kill that replaces another's note is better than none.
    renameSync(draftPath, path);
  }
}

/** @returns false where there was none */
export function removeKillFile(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
  rmSync(path);
  syncFolder(dirname(path));
  return true;
}

/** The file is there already: where a folder can't be synced, only a power cut could take it back. */
function syncFolder(path: string): void {
  try {
    const folder = openSync(path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch {
    // Nothing that the person who kills should hear about now.
  }
}
