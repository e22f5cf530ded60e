/** The machine's cells, one promise each: what a close, an order, a refusal or a timer leads to. */
import { describe, expect, it } from 'vitest';
import { codes } from '../../../schema/codes.ts';
import type { Transport } from '../../../schema/frames.ts';
import type { NegotiateResponse } from '../../../schema/http.ts';
import { type Verdict, verdictOfClose } from '../../../clients/js/closes.ts';
import { initialState, step } from '../../../clients/js/machine.ts';
import type { Effect, Event, EventOf, State } from '../../../clients/js/states.ts';

interface Played {
  state: State;
  /** Of the last event. */
  effects: readonly Effect[];
}

function play(from: State, ...events: readonly Event[]): Played {
  let played: Played = { state: from, effects: [] };
  for (const event of events) played = step(played.state, event);
  return played;
}

const fresh = initialState(['finance'], 'c0');
const answer = (transport: Transport, assignment = 10, autoreconnect = true): NegotiateResponse => ({
  transport,
  cohort: 'canary',
  reason: 'rollout',
  assignment,
  urls: { websocket: '/stream?ticket=t', 'long-poll': '/poll' },
  client: { ...fresh.memory.settings, autoreconnect },
});
const negotiated = (ask: number, transport: Transport, assignment?: number): Event => ({
  type: 'negotiated',
  ask,
  answer: answer(transport, assignment),
});
const at = (seq: number, epoch = 'e1') => ({ epoch, seq, cursor: `${epoch}:${seq}` });
const opened = (link: number): Event => ({ type: 'opened', link, at: at(0) });
const closed = (link: number, verdict: Verdict, code: number = 1006): Event => ({
  type: 'closed',
  link,
  verdict,
  code,
});
const askNow: Event = { type: 'timer', timer: 'ask' };
const streamAgain: Event = { type: 'timer', timer: 'stream' };
const refused = (ask: number, verdict: Verdict): Event => ({ type: 'refused', ask, verdict, code: 'test' });
const events = (link: number, ...seqs: number[]): Event => ({
  type: 'events',
  link,
  at: at(seqs.at(-1) ?? 0),
  events: seqs.map((seq) => ({
    seq,
    id: `i${seq}`,
    service: 'finance',
    type: 'test',
    timestamp: '2026-01-01T00:00:00.000Z',
    payload: null,
  })),
});
const live = (transport: Transport): State =>
  play(fresh, { type: 'start' }, negotiated(1, transport), opened(1)).state;
/** `seq`: where the frame says that the stream stands. */
const migrateAt = (seq: number): EventOf<'migrate'> => ({
  type: 'migrate',
  link: 1,
  transport: 'long-poll',
  assignment: 12,
  cursor: `e1:${seq}`,
});
const migrate = migrateAt(2);

const did = <D extends Effect['do']>({ effects }: Played, what: D): Extract<Effect, { do: D }>[] =>
  effects.filter((effect): effect is Extract<Effect, { do: D }> => effect.do === what);

describe('the table of closes', () => {
  it.each(Object.entries(codes).filter(([, entry]) => 'close' in entry))(
    'treats %s as its entry says',
    (_, entry) => {
      const { close, retry } = entry as { close: number; retry: string };
      const allowed: Record<string, readonly Verdict[]> = {
        never: ['never'],
        reauth: ['reauth'],
        backoff: ['backoff'],
        now: ['window', 'negotiate'],
      };
      // 1008 and 4410 mean the same whatever their reason.
      expect(allowed[retry]).toContain(verdictOfClose(close));
    },
  );

  it.each([1000, 1003, 1008, 1009, 4409])('never comes back after %i', (code) => {
    const played = play(live('websocket'), closed(1, verdictOfClose(code), code));
    expect(played.state.phase).toBe('failed');
    expect(played.state.memory.failure).toEqual({ cause: 'refused', code });
  });

  it.each([1001, 1006, 1012])('reconnects within the advised window after %i', (code) => {
    const played = play(live('websocket'), closed(1, verdictOfClose(code), code));
    expect(played.state.phase).toBe('waiting');
    expect(did(played, 'wait')).toEqual([{ do: 'wait', timer: 'retry', delay: { withinMs: 2000 } }]);
  });

  it('tries a stream no second time at an assignment that a killed node refused, and again at a newer one', () => {
    const killed: Event = { type: 'closed', link: 1, verdict: 'negotiate', code: 4410, isKill: true };
    const bounced = play(fresh, { type: 'start' }, negotiated(1, 'websocket', 10), killed);
    expect(bounced.state.phase).toBe('negotiating');
    const settled = play(bounced.state, negotiated(2, 'websocket', 10));
    expect(settled.state.next?.transport).toBe('long-poll');
    const newer = play(bounced.state, negotiated(2, 'websocket', 11));
    expect(newer.state.next?.transport).toBe('websocket');
  });

  it('negotiates at once after 4410', () => {
    expect(play(live('websocket'), closed(1, verdictOfClose(4410), 4410)).state.phase).toBe('negotiating');
  });

  it('asks once for a token that differs after 4401, then gives up', () => {
    const once = play(live('websocket'), closed(1, verdictOfClose(4401), 4401));
    expect(did(once, 'negotiate')).toMatchObject([{ mustDiffer: true }]);
    const twice = play(once.state, refused(2, 'reauth'));
    expect(twice.state.memory.failure).toEqual({ cause: 'unauthorized', code: 'test' });
    const served = play(once.state, negotiated(2, 'websocket'), opened(2), closed(2, 'reauth', 4401));
    expect(served.state.phase).toBe('negotiating');
  });

  it('goes to long-poll after a cut where the flag says not to reconnect', () => {
    const asked = play(
      fresh,
      { type: 'start' },
      { type: 'negotiated', ask: 1, answer: answer('websocket', 10, false) },
    );
    const cut = play(asked.state, opened(1), closed(1, 'window'), { type: 'timer', timer: 'retry' });
    expect(did(cut, 'negotiate')).toMatchObject([{ supports: ['long-poll'], isBlocked: false }]);
  });
});

describe('retries', () => {
  it('waits 1, 2, 4, 8, 16 s and gives up after ten', () => {
    let played = play(fresh, { type: 'start' });
    const waits: unknown[] = [];
    for (let ask = 1; played.state.phase !== 'failed'; ask += 1) {
      played = play(played.state, refused(ask, 'backoff'));
      waits.push(...did(played, 'wait').map(({ delay }) => ('baseMs' in delay ? delay.baseMs : delay)));
      if (played.state.phase === 'waiting') played = play(played.state, { type: 'timer', timer: 'retry' });
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 16_000, 16_000, 16_000, 16_000, 16_000]);
    expect(played.state.memory.failure?.cause).toBe('attempts');
  });

  it('starts over at once when the network is back', () => {
    const waiting = play(fresh, { type: 'start' }, refused(1, 'backoff'));
    const online = play(waiting.state, { type: 'online' });
    expect(online.state.phase).toBe('negotiating');
    expect(online.state.memory.attempts).toBe(0);
  });

  it('asks for long-poll alone once streams have failed three times before their ack', () => {
    let played = play(fresh, { type: 'start' });
    for (let failure = 1; failure <= 3; failure += 1) {
      const ask = played.state.memory.asks;
      played = play(played.state, negotiated(ask, 'websocket'));
      played = play(played.state, closed(failure, 'window'));
      if (played.state.phase === 'waiting') played = play(played.state, { type: 'timer', timer: 'retry' });
    }
    expect(did(played, 'negotiate')).toMatchObject([{ supports: ['long-poll'], isBlocked: true }]);
  });

  /** Fails streams until long-poll alone is asked for. `meanwhile` befalls the question behind the second of them. */
  function avoiding(code: number, meanwhile: 'nothing' | 'refused' | 'slow' = 'nothing'): Played {
    let played = play(fresh, { type: 'start' });
    const rung = (): Played =>
      played.state.phase === 'waiting' ? play(played.state, { type: 'timer', timer: 'retry' }) : played;
    for (let failure = 1; failure <= 3; failure += 1) {
      if (failure === 3 && meanwhile === 'refused') {
        played = play(played.state, refused(played.state.memory.asks, 'backoff'));
        played = rung();
      }
      const ask = played.state.memory.asks;
      const isSlow = failure === 3 && meanwhile === 'slow';
      played = play(played.state, { ...negotiated(ask, 'websocket'), isSlow } as Event);
      played = play(played.state, closed(failure, verdictOfClose(code), code));
      played = rung();
    }
    return played;
  }
  const polling = ({ state }: Played): Played =>
    play(state, negotiated(state.memory.asks, 'long-poll'), opened(4));

  it.each([
    ['cut before their ack', avoiding(1006), true, 600_000],
    ['closed by an overloaded gateway', avoiding(1013), false, 30_000],
    ['closed by a draining one', avoiding(1012), false, 30_000],
    ['closed for want of a handshake', avoiding(4408), false, 30_000],
    ['cut while a question failed', avoiding(1006, 'refused'), false, 30_000],
    ['cut while a question took long', avoiding(1006, 'slow'), false, 30_000],
  ])('asks again after the time that fits streams %s', (_what, played, isBlocked, baseMs) => {
    expect(did(played, 'negotiate')).toMatchObject([{ supports: ['long-poll'], isBlocked }]);
    expect(did(played, 'wait')).toMatchObject([{ timer: 'stream', delay: { baseMs } }]);
  });

  it('holds no network for blocked whose polls fail too, and tries a stream less and less often', () => {
    const cut = play(polling(avoiding(1006)).state, closed(4, 'window'), { type: 'timer', timer: 'retry' });
    expect(did(cut, 'negotiate')).toMatchObject([{ supports: ['long-poll'], isBlocked: false }]);
    let { state } = play(cut.state, negotiated(cut.state.memory.asks, 'long-poll'), opened(5));
    const waits: unknown[] = [];
    for (let link = 6; link <= 11; link += 1) {
      const ask = play(state, streamAgain);
      expect(did(ask, 'negotiate')).toMatchObject([{ supports: ['websocket', 'long-poll'] }]);
      const moving = play(ask.state, negotiated(ask.state.memory.asks, 'websocket'));
      const failed = play(moving.state, closed(link, 'backoff', 1013));
      const again = did(failed, 'wait').find(({ timer }) => timer === 'stream');
      waits.push(again && 'baseMs' in again.delay && again.delay.baseMs / 60_000);
      ({ state } = failed);
    }
    expect(waits).toEqual([1, 2, 4, 8, 10, 10]);
  });

  it('is not kept from streams for ever by polls that fail now and then', () => {
    let { state } = polling(avoiding(1006));
    const touched: unknown[] = [];
    for (let link = 5; link < 9; link += 1)
      for (const befalls of [
        closed(link - 1, 'window'),
        { type: 'timer', timer: 'retry' } as const,
        negotiated(state.memory.asks + 1, 'long-poll'),
        opened(link),
      ]) {
        const played = play(state, befalls);
        touched.push(...[...did(played, 'wait'), ...did(played, 'cancel')].map(({ timer }) => timer));
        ({ state } = played);
      }
    // Once: the first poll that fails says that it isn't the network.
    expect(touched.filter((timer) => timer === 'stream')).toHaveLength(1);
    expect(did(play(state, streamAgain), 'negotiate')).toMatchObject([
      { supports: ['websocket', 'long-poll'], current: 'long-poll' },
    ]);
    const unserved = play(state, closed(8, 'window'), streamAgain, { type: 'timer', timer: 'retry' });
    expect(did(unserved, 'negotiate')).toMatchObject([{ supports: ['websocket', 'long-poll'] }]);
  });

  it.each([
    ['the question failed before it was asked again', (ask: number) => [refused(ask, 'backoff'), askNow]],
    ['its poll failed while it asked', () => [closed(4, 'backoff', 503)]],
  ])('takes no network for blocked where %s', (_what, befalls) => {
    const asking = play(polling(avoiding(1006)).state, askNow);
    const asked = play(asking.state, ...befalls(asking.state.memory.asks));
    const opening = play(asked.state, negotiated(asked.state.memory.asks, 'websocket'));
    const failed = play(opening.state, closed(opening.state.memory.links, 'window'));
    expect(failed.state.memory.streamAvoided).toBe('trouble');
  });

  it('takes no network for blocked whose old poll failed in the middle of a hand-over', () => {
    let state = live('long-poll');
    for (let failure = 1; failure <= 2; failure += 1) {
      const asking = play(state, askNow);
      const opening = play(asking.state, negotiated(asking.state.memory.asks, 'websocket'));
      ({ state } = play(opening.state, closed(opening.state.memory.links, 'window')));
    }
    const asking = play(state, askNow);
    const opening = play(asking.state, negotiated(asking.state.memory.asks, 'websocket'));
    const { links } = opening.state.memory;
    const failed = play(opening.state, closed(1, 'window'), closed(links, 'window'));
    expect(failed.state.memory.streamAvoided).toBe('trouble');
  });

  it.each([
    ['a question for long-poll alone was out', []],
    ['the poll was being opened', ['negotiated']],
  ])('tries a stream soon where the time for it came while %s', (_what, first) => {
    const polled = polling(avoiding(1013));
    const cut = play(polled.state, closed(4, 'window'), { type: 'timer', timer: 'retry' });
    expect(did(cut, 'negotiate')).toMatchObject([{ supports: ['long-poll'] }]);
    const answered = negotiated(cut.state.memory.asks, 'long-poll');
    const before = first.length === 0 ? cut : play(cut.state, answered);
    const rung = play(before.state, streamAgain);
    const later = did(rung, 'wait').find(({ timer }) => timer === 'stream');
    expect(later && 'baseMs' in later.delay && later.delay.baseMs).toBeLessThanOrEqual(30_000);
    const opening = first.length === 0 ? play(rung.state, answered) : rung;
    const served = play(opening.state, opened(5), streamAgain);
    expect(did(served, 'negotiate')).toMatchObject([{ supports: ['websocket', 'long-poll'] }]);
  });

  it('takes streams that changing rules refused for no sign of a blocked network', () => {
    let played = play(fresh, { type: 'start' });
    for (let failure = 1; failure <= 4; failure += 1) {
      const ask = played.state.memory.asks;
      played = play(played.state, negotiated(ask, 'websocket', 10 + failure));
      played = play(played.state, closed(failure, 'negotiate', 4410));
      if (played.state.phase === 'waiting') played = play(played.state, { type: 'timer', timer: 'retry' });
    }
    expect(did(played, 'negotiate')).toMatchObject([{ supports: ['websocket', 'long-poll'] }]);
  });

  it('counts a stream that never acknowledges as failed, and closes it', () => {
    const played = play(fresh, { type: 'start' }, negotiated(1, 'websocket'), {
      type: 'timer',
      timer: 'opening',
    });
    expect(did(played, 'close')).toEqual([{ do: 'close', link: 1 }]);
    expect(played.state.phase).toBe('negotiating');
  });
});

describe('moves', () => {
  it('opens the new transport at the last received cursor and closes the old one on its ack', () => {
    const moving = play(live('websocket'), events(1, 1, 2), migrate);
    expect(moving.state.phase).toBe('moving');
    expect(did(moving, 'open')).toMatchObject([{ cursor: 'e1:2', url: '/poll' }]);
    expect(did(moving, 'close')).toEqual([]);
    const moved = play(moving.state, opened(2));
    expect(did(moved, 'close')).toEqual([{ do: 'close', link: 1 }]);
    expect(moved.state.live?.transport).toBe('long-poll');
  });

  it('begins where `migrate` stands, past what was not for this client, and takes what it brings', () => {
    const moving = play(live('websocket'), events(1, 1, 2), migrateAt(40));
    expect(did(moving, 'open')).toMatchObject([{ cursor: 'e1:40' }]);
    const delivered = did(play(moving.state, opened(2), events(2, 41)), 'deliver')[0];
    expect(delivered?.events.map(({ seq }) => seq)).toEqual([41]);
  });

  it('hands over what either brings first, and drops what comes twice', () => {
    const moving = play(live('websocket'), events(1, 1, 2), migrate, events(1, 3, 4), opened(2));
    const delivered = did(play(moving.state, events(2, 3, 4, 5)), 'deliver')[0];
    expect(delivered?.events.map(({ seq }) => seq)).toEqual([5]);
    expect(delivered?.repeats).toBe(2);
  });

  it('drops what a stale connection says', () => {
    const moved = play(live('websocket'), migrate, opened(2)).state;
    expect(play(moved, events(1, 9))).toEqual({ state: moved, effects: [] });
    expect(play(moved, closed(1, 'never'))).toEqual({ state: moved, effects: [] });
  });

  it('keeps the old transport when the new one fails, and asks again later', () => {
    const failed = play(live('websocket'), migrate, closed(2, 'window'));
    expect(failed.state).toMatchObject({ phase: 'live', live: { id: 1 } });
    expect(did(failed, 'wait').at(-1)).toMatchObject({ timer: 'ask', delay: { baseMs: 1000 } });
  });

  it('ends the hand-over and silences the old one on a reset', () => {
    const reset: Event = { type: 'reset', link: 1, at: at(3, 'e2'), reason: 'epoch' };
    const played = play(live('websocket'), events(1, 1), migrate, reset);
    expect(played.state).toMatchObject({
      phase: 'connecting',
      next: { id: 2 },
      memory: { position: at(3, 'e2') },
    });
    expect(did(played, 'close')).toEqual([{ do: 'close', link: 1 }]);
  });

  it('tells the services only once the hand-over is over', () => {
    const wanted: Event = { type: 'services', add: ['chat'], remove: [] };
    const moving = play(live('websocket'), migrate, wanted);
    expect(did(moving, 'services')).toEqual([]);
    expect(did(play(moving.state, opened(2)), 'services')).toEqual([
      { do: 'services', link: 2, services: ['finance', 'chat'] },
    ]);
  });

  it('opens another stream when it is advised to, though it has one', () => {
    const advised = play(live('websocket'), { type: 'reconnect', link: 1, withinMs: 5000 });
    expect(did(advised, 'wait')).toEqual([{ do: 'wait', timer: 'ask', delay: { withinMs: 4000 } }]);
    const moving = play(advised.state, { type: 'timer', timer: 'ask' }, negotiated(2, 'websocket'));
    expect(moving.state).toMatchObject({
      phase: 'moving',
      live: { id: 1 },
      next: { id: 2, transport: 'websocket' },
    });
  });
});

describe('decisions', () => {
  const due = (assignment: number): Event => ({ type: 'due', link: 1, assignment });

  it('asks once for each newer assignment that a poll names', () => {
    const polled = live('long-poll');
    expect(play(polled, due(10)).state.phase).toBe('live');
    const asked = play(polled, due(11));
    expect(asked.state.phase).toBe('asking');
    const again = play(asked.state, negotiated(2, 'long-poll', 10), due(11));
    expect(again.state.phase).toBe('live');
    expect(play(again.state, due(12)).state.phase).toBe('asking');
  });

  it('asks again soon, and less and less often, where only older rules have answered to what a poll told', () => {
    let { state } = play(live('long-poll'), due(11));
    const waits: unknown[] = [];
    for (const assignment of [10, 10, 11]) {
      const settled = play(state, negotiated(state.memory.asks, 'long-poll', assignment));
      waits.push(...did(settled, 'wait').map(({ delay }) => 'baseMs' in delay && delay.baseMs));
      ({ state } = play(settled.state, askNow));
    }
    expect(waits).toEqual([1000, 2000, 600_000]);
    // The poll that told it is gone: so where its question serves for the next one.
    const opening = play(live('long-poll'), due(11), closed(1, 'window'), negotiated(2, 'long-poll', 10));
    const served = play(opening.state, opened(2));
    expect(did(served, 'wait')).toMatchObject([{ timer: 'ask', delay: { baseMs: 1000 } }]);
  });

  it('asks ever more rarely of rules that stay older, and retries a poll that fails then as soon as any', () => {
    let played = play(live('long-poll'), due(11));
    const waits: unknown[] = [];
    for (let turn = 0; turn < 12; turn += 1) {
      played = play(played.state, negotiated(played.state.memory.asks, 'long-poll', 10));
      waits.push(...did(played, 'wait').map(({ delay }) => 'baseMs' in delay && delay.baseMs));
      if (turn < 11) played = play(played.state, askNow);
    }
    expect(waits.slice(4, 7)).toEqual([16_000, 32_000, 64_000]);
    expect(waits.slice(-2)).toEqual([600_000, 600_000]);
    const failed = play(played.state, closed(1, 'backoff'));
    expect(did(failed, 'wait')).toMatchObject([{ timer: 'retry', delay: { baseMs: 1000 } }]);
    // What is told anew is asked about anew.
    const again = play(played.state, due(12), negotiated(14, 'long-poll', 10));
    expect(did(again, 'wait')).toMatchObject([{ timer: 'ask', delay: { baseMs: 1000 } }]);
  });

  it('lets streams that fail rest for their time, though older rules answered to what a poll told', () => {
    let played = play(live('long-poll'), due(12));
    for (let failure = 1; failure <= 3; failure += 1) {
      const opening = play(played.state, negotiated(played.state.memory.asks, 'websocket', 11));
      played = play(opening.state, closed(opening.state.memory.links, 'window'));
      if (failure < 3) played = play(played.state, askNow);
    }
    expect(played.state.memory.streamAvoided).toBe('blocked');
    const waits = did(played, 'wait').map(({ timer, delay }) => [timer, 'baseMs' in delay && delay.baseMs]);
    expect(waits).toEqual([
      ['ask', 600_000],
      ['stream', 600_000],
    ]);
  });

  it('asks anew where a poll names a newer one while a question is out', () => {
    const asking = play(live('long-poll'), { type: 'start' });
    const again = play(asking.state, due(11));
    expect(did(again, 'negotiate')).toMatchObject([{ ask: 3 }]);
    const late = play(again.state, negotiated(2, 'long-poll', 10));
    expect(late.state.phase).toBe('asking');
    expect(did(play(late.state, due(11)), 'negotiate')).toEqual([]);
  });

  it('ignores an older decision for websocket, and obeys one for long-poll at any number', () => {
    const older = play(live('long-poll'), { type: 'timer', timer: 'ask' }, negotiated(2, 'websocket', 9));
    expect(older.state).toMatchObject({ phase: 'live', memory: { assignment: 10, decided: 'long-poll' } });
    const down = play(live('websocket'), { ...migrate, assignment: 3 });
    expect(down.state).toMatchObject({ phase: 'moving', memory: { assignment: 10, decided: 'long-poll' } });
  });

  it('drops the answer of a question that it no longer asks', () => {
    const stopped = play(fresh, { type: 'start' }, { type: 'stop' }, { type: 'start' }).state;
    expect(play(stopped, negotiated(1, 'websocket')).state).toBe(stopped);
  });
});

describe('the audit', () => {
  const ping = (seq: number): Event => ({ type: 'progress', link: 1, at: at(seq), why: 'ping' });
  const audit = (played: Played): unknown => did(played, 'pong')[0]?.audit;
  const from2 = play(live('websocket'), events(1, 1, 2), ping(2)).state;

  it('reports a span once, with what was handed over in it', () => {
    const first = play(from2, events(1, 4, 7), ping(9));
    expect(audit(first)).toEqual({ epoch: 'e1', from: 2, to: 9, count: 2, sum: 11, repeats: 0 });
    expect(audit(play(first.state, ping(9)))).toEqual({
      epoch: 'e1',
      from: 9,
      to: 9,
      count: 0,
      sum: 0,
      repeats: 0,
    });
  });

  it('begins a new span where the services change, from the ack of the change on', () => {
    const changed = play(from2, { type: 'services', add: ['chat'], remove: [] }, events(1, 3), ping(4));
    expect(audit(changed)).toBeUndefined();
    const acked = play(
      changed.state,
      { type: 'progress', link: 1, at: at(4), why: 'answer' },
      events(1, 5),
      ping(6),
    );
    expect(audit(acked)).toEqual({ epoch: 'e1', from: 4, to: 6, count: 1, sum: 5, repeats: 0 });
  });
});
