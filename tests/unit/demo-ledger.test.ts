/** What the demo's page may claim as delivered, lost or repeated. */
import { expect, it } from 'vitest';
import { Ledger } from '../../src/demo/ledger.ts';

/** A ledger with one member that has been handed seq 1 already. */
function begun(): { ledger: Ledger; receive: (seq: number) => void; publish: (seq: number) => void } {
  const ledger = new Ledger();
  const receive = ledger.open('north', ['finance']);
  const publish = (seq: number): void => ledger.publish('north', 'finance', seq, 0);
  publish(1);
  receive(1);
  return { ledger, receive, publish };
}

it('counts each event once, whichever is heard of first: its acknowledgement or its delivery', () => {
  const { ledger, receive, publish } = begun();
  publish(2);
  receive(2);
  receive(3);
  publish(3);
  publish(4);
  expect(ledger.totals(0)).toEqual({ published: 4, delivered: 3, underWay: 1, lost: 0, repeated: 0 });
});

it('counts an event as lost once a later one came without it', () => {
  const { ledger, receive, publish } = begun();
  publish(2);
  publish(3);
  receive(3);
  // The same, with the acknowledgement last.
  receive(5);
  publish(4);
  publish(5);
  expect(ledger.totals(0)).toMatchObject({ delivered: 3, underWay: 0, lost: 2, repeated: 0 });
});

it('counts an event as lost while it is half a minute late, and no longer', () => {
  const { ledger, receive, publish } = begun();
  publish(2);
  publish(3);
  expect(ledger.totals(30_000)).toMatchObject({ underWay: 2, lost: 0 });
  expect(ledger.totals(30_001)).toMatchObject({ underWay: 0, lost: 2 });
  receive(2);
  expect(ledger.totals(30_002)).toMatchObject({ delivered: 2, lost: 1 });
});

it('counts what is handed over again as repeated', () => {
  const { ledger, receive } = begun();
  receive(1);
  expect(ledger.totals(0)).toMatchObject({ delivered: 1, repeated: 1 });
});

it('owes nothing of other services and orgs, nor of what came before a member began', () => {
  const ledger = new Ledger();
  const receive = ledger.open('north', ['finance']);
  for (const seq of [1, 2]) ledger.publish('north', 'finance', seq, 0);
  ledger.publish('north', 'guest', 3, 0);
  ledger.publish('south', 'finance', 1, 0);
  receive(1);
  receive(2);
  expect(ledger.totals(60_000)).toEqual({ published: 4, delivered: 2, underWay: 0, lost: 0, repeated: 0 });
});
