/**
 * What becomes of a fault that no request waits for: it is counted, and told by an error line, once a second for each place.
 * What nobody caught at all leaves the process in a state that nobody knows, so the node drains and ends with 1.
 */
import type { EventEmitter } from 'node:events';
import type { FaultPlace, OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import type { LeveledLogger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';

const toldEveryMs = 1000;
// What every node meets at once must not take all of them away at once.
const spreadMs = 60_000;
// Besides the drain: a close that hangs must not keep it from its end.
const closeMs = 10_000;

export function tellFaults(
  metrics: Pick<Metrics, 'faults'>,
  logger: Pick<LeveledLogger, 'error'>,
  clock: Pick<Clock, 'monotonic'>,
): OnFault {
  const toldMs = new Map<FaultPlace, number>();
  return (where, err) => {
    metrics.faults.inc({ where });
    const nowMs = clock.monotonic();
    if (nowMs - (toldMs.get(where) ?? Number.NEGATIVE_INFINITY) < toldEveryMs) return;
    toldMs.set(where, nowMs);
    logger.error({ err, where }, 'a callback threw: it is left out, the others go on');
  };
}

interface Node {
  readonly onFault: OnFault;
  drain(): Promise<void>;
}

/**
 * A rejection that nobody waits for has left no work half done: the node goes on. An exception that nobody caught may have,
 * in a parser of replies say: the node serves on for a random part of a minute, drains, and ends with 1, to be started anew.
 * @param end ends the process, with its exit code
 */
export function watchProcess(
  process: Pick<EventEmitter, 'on'> & { exitCode?: unknown },
  node: Node,
  clock: Pick<Clock, 'after' | 'random'>,
  drainMs: number,
  end: () => void,
): void {
  let isEnding = false;
  const drain = (): void => {
    clock.after(drainMs + closeMs, end);
    node.drain().then(end, end);
  };
  process.on('unhandledRejection', (error: unknown) => node.onFault('rejection', error));
  process.on('uncaughtException', (error: unknown) => {
    node.onFault('process', error);
    if (isEnding) return;
    isEnding = true;
    process.exitCode = 1;
    clock.after(spreadMs * clock.random(), drain);
  });
}
