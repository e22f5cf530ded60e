/**
 * Looks through another system's Redis for streams of a form. SCAN visits every key of it, so this takes only a small share of
 * that Redis's time, however many keys it has.
 */
import { type Clock, pause } from '../../../clock.ts';
import type { RedisCommands } from '../../../redis/connections.ts';

/** Keys that one SCAN looks at: short enough for the commands of others that wait behind it. */
const scanKeys = 500;
/** Of the time that a look takes, SCANs have a tenth. */
const restFactor = 9;

/** What one SCAN found; `keys`: how many were looked at so far, about. */
export interface NamesPage {
  readonly names: readonly string[];
  readonly keys: number;
}

/** Yields the streams that there are, a page at a time; one may come twice. @param glob as Redis takes it */
export async function* streamNames(
  redis: Pick<RedisCommands, 'call'>,
  glob: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<NamesPage> {
  let cursor = '0';
  let keys = 0;
  do {
    const beganMs = clock.monotonic();
    const args = [cursor, 'MATCH', glob, 'COUNT', scanKeys, 'TYPE', 'stream'];
    // The shape is Redis's: a cursor and names.
    const [next, names] = (await redis.call('SCAN', args)) as [string, string[]];
    const tookMs = clock.monotonic() - beganMs;
    cursor = next;
    keys += scanKeys;
    yield { names, keys };
    if (cursor !== '0') await pause(clock, tookMs * restFactor, signal);
  } while (cursor !== '0' && !signal.aborted);
}
