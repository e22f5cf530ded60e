/** What the log must hold of what was published, by source. */
import { expect } from 'vitest';
import { type BridgeFleet, channelOrg, pollOrgs, type Published, streamOrgs } from './bridge-fleet.ts';

/** Every id of the streams, once, in the streams' order. */
export async function expectStreamsWhole(fleet: BridgeFleet): Promise<number> {
  let count = 0;
  for (const org of streamOrgs) {
    const wanted = await fleet.streamed(org);
    expect(await fleet.ids(org), org).toEqual(wanted);
    count += wanted.length;
  }
  return count;
}

/** Every update of the old API, once, in its order. */
export async function expectPollsWhole(fleet: BridgeFleet): Promise<number> {
  let count = 0;
  for (const org of pollOrgs) {
    const wanted = fleet.api.of(org).map(({ seq }) => String(seq));
    expect(await fleet.ids(org), org).toEqual(wanted);
    count += wanted.length;
  }
  return count;
}

/** No message twice, none out of order. */
export async function expectChannelInOrder(fleet: BridgeFleet): Promise<ReadonlySet<string>> {
  const ids = await fleet.ids(channelOrg);
  const kept = new Set(ids);
  expect(ids).toEqual(fleet.published.map(({ id }) => id).filter((id) => kept.has(id)));
  return kept;
}

/** Each reader of the old API had one poll open at a time: one node bridged. Who lost its bridge unawares had one, too. */
export function expectOnePollAtATime(fleet: BridgeFleet): void {
  expect(fleet.api.mostAtATime).toBeLessThanOrEqual(fleet.losses('polls') === 0 ? 1 : 2);
}

/**
 * Each stretch of listening, from the first message that somebody heard to the last: its log is a beginning of it, because
 * whoever was killed took with it what it had heard last. The newest stretch, which nobody was killed in, is whole. Where a
 * running node lost its bridge unawares, what it had heard last is missing in the middle: once for each such time.
 */
export async function expectChannelWhole(fleet: BridgeFleet): Promise<{ heard: number; lost: number }> {
  const kept = await expectChannelInOrder(fleet);
  const stretches = stretchesOf(fleet.published);
  let [heard, lost, holes] = [0, 0, 0];
  for (const [at, stretch] of stretches.entries()) {
    const held = stretch.map((id) => kept.has(id));
    heard += stretch.length;
    lost += held.filter((isKept) => !isKept).length;
    holes += held.filter((isKept, place) => isKept && held[place - 1] === false).length;
    if (at === stretches.length - 1 && held.at(-1) === false) holes += 1;
  }
  expect(holes, 'messages that were heard and are missing before others').toBeLessThanOrEqual(
    fleet.losses('channel'),
  );
  return { heard, lost };
}

function stretchesOf(published: readonly Published[]): string[][] {
  const stretches: string[][] = [];
  let current: string[] = [];
  for (const { id, listeners } of published) {
    if (listeners > 0) {
      if (current.length === 0) stretches.push(current);
      current.push(id);
    } else current = [];
  }
  return stretches;
}
