/**
 * Watches for the kill file: this node is killed while it exists. The watch makes it prompt; the look each second is what
 * can be relied on, because file watches miss mounts, renames and folders that come later.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { KillLatch } from './latch.ts';
import type { LeveledLogger } from '../../logger.ts';

const lookMs = 1000;

/** Looks once before it returns. The answer stops it. */
export function watchKillFile(
  path: string,
  latch: KillLatch,
  clock: Clock,
  logger: LeveledLogger,
): () => void {
  const look = (): void => {
    const stands = isThere(path, latch.killFile !== undefined, logger);
    if (stands === (latch.killFile !== undefined)) return;
    logger.warn({ path }, stands ? 'the kill file is there: long-poll only' : 'the kill file is gone');
    latch.setKillFile(stands ? path : undefined);
  };
  look();
  const stopLooking = clock.every(lookMs, look);
  const watcher = watchFolder(dirname(path), look);
  return () => {
    stopLooking();
    watcher?.close();
  };
}

/** @param before what to go on believing when the file system can't say. */
function isThere(path: string, before: boolean, logger: LeveledLogger): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    logger.error({ path, err: error }, 'cannot look for the kill file');
    return before;
  }
}

function watchFolder(folder: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, changed);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // No such folder yet, or no watches left: the look each second finds the file all the same.
    return undefined;
  }
}
