/** The count of what clients make a node hold, and who is cut when it is too much. */
import { expect, it } from 'vitest';
import { BytesInFlight, type Holder } from '../../src/async/bytes-in-flight.ts';

const bounds = { node: 100, address: 50, user: 30 };

function opened() {
  const inFlight = new BytesInFlight(bounds);
  const ended: string[] = [];
  const holder = (name: string, address?: string, user?: string): Holder => {
    const made = inFlight.holder(address, () => ended.push(name));
    if (user !== undefined) made.belongsTo(user);
    return made;
  };
  return { inFlight, ended, holder };
}

it('cuts the connection that has held bytes for longest once the node holds too much', () => {
  const { inFlight, ended, holder } = opened();
  const [first, second, third] = [holder('first'), holder('second'), holder('third')];
  first.set('answers', 40);
  second.set('requests', 40);
  // It is read, and held anew: not the longest any more.
  first.set('answers', 0);
  first.set('answers', 40);
  third.set('frames', 30);
  expect(ended).toEqual(['second']);
  expect(inFlight.cuts).toEqual({ stalled: 0, pipelined: 0, node: 1, address: 0, user: 0 });
  expect(inFlight.held).toEqual({ answers: 40, requests: 0, frames: 30 });
});

it('holds one address, and one user, to a share: nobody else is cut for them', () => {
  const { ended, holder } = opened();
  holder('other').set('answers', 20);
  holder('a', '192.0.2.1').set('answers', 30);
  holder('b', '192.0.2.1').set('answers', 30);
  expect(ended).toEqual(['a']);
  holder('c', undefined, 'acme/ann').set('frames', 20);
  holder('d', undefined, 'acme/ann').set('frames', 20);
  expect(ended).toEqual(['a', 'c']);
});

it('counts bytes that many connections wait for once', () => {
  const { inFlight, ended, holder } = opened();
  const shared = Buffer.alloc(25);
  const readers = Array.from({ length: 50 }, (_, index) =>
    holder(`reader ${index}`, '192.0.2.1', 'acme/ann'),
  );
  for (const reader of readers) reader.set('answers', shared.length, shared);
  expect(ended).toEqual([]);
  // The first leave, the bytes stay: with 25 others the address holds all that it may.
  for (const reader of readers.slice(0, 49)) reader.close();
  holder('one more', '192.0.2.1').set('answers', 25);
  expect(ended).toEqual([]);
  holder('too much', '192.0.2.1').set('answers', 1);
  expect(ended).toEqual(['reader 49']);
  expect(inFlight.held.answers).toBe(26);
});

it('counts what is held already for a user who becomes known', () => {
  const { ended, holder } = opened();
  const stranger = holder('stranger');
  stranger.set('requests', 25);
  stranger.belongsTo('acme/ann');
  holder('again', undefined, 'acme/ann').set('answers', 10);
  expect(ended).toEqual(['stranger']);
});

it('holds nothing for a connection that has ended', () => {
  const { inFlight, holder } = opened();
  const gone = holder('gone', '192.0.2.1', 'acme/ann');
  gone.set('answers', 10);
  gone.close();
  gone.set('answers', 20);
  expect(inFlight.held.answers).toBe(0);
});
