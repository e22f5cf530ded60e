/** Tries a profile's source as a bridge would, for a few seconds: whether it can be read, and what it has becomes events. */
import { setMaxListeners } from 'node:events';
import type { Profile } from '../../../schema/profile.ts';
import { pause } from '../../clock.ts';
import { sourceOf } from '../../legacy/bridge/bridge.ts';
import { faultText } from '../../legacy/bridge/health.ts';
import { type Dialect, LegacyItemError } from '../../legacy/dialect/dialect.ts';
import { createDialect } from '../../legacy/dialect/profile-dialect.ts';
import type { SourceFeed } from '../../legacy/bridge/source.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import type { Terminal } from '../terminal.ts';

const longestMs = 6000;
// It can be read; what it has comes right after, if it has anything.
const moreMs = 500;

export async function sourceFindings({ clock, stopped }: Terminal, profile: Profile): Promise<Finding[]> {
  const { ok, warning, error } = findingsAbout('source');
  const { source } = profile;
  if (source === undefined) return [];
  const dialect = createDialect(profile);
  const end = new AbortController();
  setMaxListeners(0, end.signal);
  const stop = (): void => end.abort();
  stopped.addEventListener('abort', stop);
  let fault: string | undefined;
  let hasWorked = false;
  let count = 0;
  const bad = new Set<string>();
  const advice: Finding[] = [];
  // What it has comes at once; that it has to look through many keys to find it is seen a little later.
  const isSearching = source.kind === 'redis-stream' && source.orgs === undefined;
  const feed: SourceFeed = {
    signal: end.signal,
    position: () => Promise.resolve(undefined),
    // One batch says it; a long stream isn't read to its end.
    async take({ items, org }) {
      count += items.length;
      for (const { item } of items) {
        const found = itemFault(dialect, item, org === undefined);
        if (found !== undefined) bad.add(found);
      }
      if (items.length === 0) return;
      if (isSearching) clock.after(moreMs, stop);
      else stop();
    },
    gap: () => undefined,
    advise: (what) => advice.push(warning(what, 'source.orgs')),
    worked() {
      if (!hasWorked) clock.after(moreMs, stop);
      hasWorked = true;
    },
    failed(thrown) {
      fault = faultText(thrown);
      stop();
    },
  };
  const running = sourceOf(source, dialect, clock).run(feed);
  try {
    await pause(clock, longestMs, end.signal);
    stop();
    await running;
  } finally {
    stopped.removeEventListener('abort', stop);
  }
  if (fault !== undefined) return [warning(`${source.kind} can't be read from here: ${fault}`, 'source')];
  if (bad.size > 0) return [...bad].map((message) => error(message, 'source'));
  if (count > 0) return [ok(`read: ${count} items, each an event`), ...advice];
  if (source.kind === 'redis-pubsub' && hasWorked) return [ok('subscribed; nothing was published meanwhile')];
  if (source.kind === 'long-poll' && !hasWorked)
    return [
      warning('it holds the reader, and has said nothing yet', 'once more while there are some events'),
    ];
  const next = 'the key, and the Redis, if there should be some';
  return [warning('it can be read, and has nothing yet', next), ...advice];
}

/** What keeps an item from being an event; undefined: nothing does. @param needsOrg its source's reader or key names none */
export function itemFault(dialect: Dialect, item: unknown, needsOrg = false): string | undefined {
  try {
    const { org } = dialect.eventFrom(item);
    return needsOrg && org === undefined ? 'an item names no org' : undefined;
  } catch (thrown) {
    if (!(thrown instanceof LegacyItemError)) throw thrown;
    return thrown.message;
  }
}
