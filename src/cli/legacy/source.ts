/** Tries a profile's source as a bridge would, for a few seconds: whether it can be read, and what it has becomes events. */
import { setMaxListeners } from 'node:events';
import type { Profile } from '../../../schema/profile.ts';
import { pause } from '../../clock.ts';
import { sourceOf } from '../../legacy/bridge/bridge.ts';
import { faultText } from '../../legacy/bridge/health.ts';
import { LegacyItemError } from '../../legacy/dialect/dialect.ts';
import { createDialect } from '../../legacy/dialect/profile-dialect.ts';
import type { SourceFeed } from '../../legacy/bridge/source.ts';
import { error, type Finding, ok, warning } from '../findings.ts';
import type { Terminal } from '../terminal.ts';

const longestMs = 6000;
// It can be read; what it has comes right after, if it has anything.
const moreMs = 500;

export async function sourceFindings({ clock, stopped }: Terminal, profile: Profile): Promise<Finding[]> {
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
  const feed: SourceFeed = {
    signal: end.signal,
    async position() {
      return undefined;
    },
    // One batch says it; a long stream isn't read to its end.
    async take({ items, org }) {
      count += items.length;
      for (const { item } of items)
        try {
          const found = dialect.eventFrom(item);
          if (org === undefined && found.org === undefined) bad.add('an item names no org');
        } catch (thrown) {
          if (!(thrown instanceof LegacyItemError)) throw thrown;
          bad.add(thrown.message);
        }
      if (items.length > 0) end.abort();
    },
    gap: () => undefined,
    worked() {
      if (!hasWorked) clock.after(moreMs, stop);
      hasWorked = true;
    },
    failed(thrown) {
      fault = faultText(thrown);
      end.abort();
    },
  };
  const running = sourceOf(source, dialect, clock).run(feed);
  try {
    await pause(clock, longestMs, end.signal);
    end.abort();
    await running;
  } finally {
    stopped.removeEventListener('abort', stop);
  }
  if (fault !== undefined)
    return [warning('source', `${source.kind} can't be read from here: ${fault}`, 'source')];
  if (bad.size > 0) return [...bad].map((message) => error('source', message, 'source'));
  if (count > 0) return [ok('source', `read: ${count} items, each an event`)];
  const isHeld = source.kind === 'long-poll' && !hasWorked;
  if (source.kind === 'redis-pubsub' && hasWorked)
    return [ok('source', 'subscribed; nothing was published meanwhile')];
  return [
    isHeld
      ? warning(
          'source',
          'it holds the reader, and has said nothing yet',
          'once more while there are some events',
        )
      : warning(
          'source',
          'it can be read, and has nothing yet',
          'the key, and the Redis, if there should be some',
        ),
  ];
}
