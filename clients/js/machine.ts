/**
 * What the client does next, as a pure function: `step(state, event)`. The table is total: every event has its cell in
 * every phase. Time, randomness, sockets and tokens are the driver's. STATES.md draws it.
 */
import type { Delay } from './backoff.ts';
import {
  ask,
  closeAll,
  negotiate,
  negotiated,
  negotiatedWhileServed,
  opened,
  reconcile,
  streamAgain,
} from './connecting.ts';
import {
  closedWhileConnecting,
  closedWhileMoving,
  closedWhileServed,
  lost,
  refused,
  refusedWhileServed,
  openingTimedOut,
} from './losing.ts';
import {
  advised,
  due,
  heardEphemeral,
  migrated,
  progressed,
  received,
  reported,
  wasReset,
} from './receiving.ts';
import type { Effect, Event, EventOf, EventType, Memory, Phase, State, StateOf, Step } from './states.ts';

type Cell<P extends Phase, T extends EventType> = (state: StateOf<P>, event: EventOf<T>) => Step;
type Table = { readonly [P in Phase]: { readonly [T in EventType]: Cell<P, T> } };

const keep = (state: State): Step => ({ state, effects: [] });

const timers: readonly Effect[] = [
  { do: 'cancel', timer: 'retry' },
  { do: 'cancel', timer: 'ask' },
  { do: 'cancel', timer: 'opening' },
  { do: 'cancel', timer: 'stream' },
];

/** What a client that begins, or begins again, remembers of its troubles: none. */
const untroubled = {
  attempts: 0,
  olderAnswers: 0,
  hasRetriedAtOnce: false,
  streamFailures: 0,
  isGatewayInTrouble: false,
  streamAvoided: undefined,
  isReauthorizing: false,
  isAskPutOff: false,
  failure: undefined,
} satisfies Partial<Memory>;

const start = ({ memory }: State): Step => negotiate({ ...memory, ...untroubled });

const stop = (state: State): Step => ({
  state: { phase: 'idle', memory: { ...state.memory, audit: undefined } },
  effects: [...timers, ...closeAll(state)],
});

/** Wanted, and told to a connection once one serves alone. */
const want = (state: State, event: EventOf<'services'>): Step =>
  keep({ ...state, memory: wanting(state.memory, event) });

function wanting(memory: Memory, { add, remove }: EventOf<'services'>): Memory {
  const services = new Set([...memory.services, ...add]);
  for (const service of remove) services.delete(service);
  return { ...memory, services: [...services] };
}

const rested = (memory: Memory): Memory => ({ ...memory, attempts: 0, hasRetriedAtOnce: false });
const calm = (state: State): Step => keep({ ...state, memory: rested(state.memory) });

const trusting = (memory: Memory): Memory => ({
  ...memory,
  isGatewayInTrouble: false,
  streamAvoided: undefined,
});
const soon: Delay = { baseMs: 1000, jitter: 0.2 };
/** The question that is out asked for none, or what it was answered is being opened: another is asked after that. */
const postponed = (state: State, { timer }: EventOf<'timer'>): Step =>
  timer === 'stream' && state.memory.streamAvoided !== undefined
    ? { state, effects: [{ do: 'wait', timer, delay: soon }] }
    : keep(state);
/** Streams were avoided for long enough: the next question asks for one. */
const rung = (state: State, { timer }: EventOf<'timer'>): Step =>
  keep(
    timer === 'stream' && state.memory.streamAvoided !== undefined
      ? { ...state, memory: trusting(state.memory) }
      : state,
  );

/** Cells of the phases without a connection: what a stale one says is dropped. */
const unheard = {
  opened: keep,
  events: keep,
  ephemeral: keep,
  progress: keep,
  reported: keep,
  reset: keep,
  migrate: keep,
  reconnect: keep,
  due: keep,
  closed: keep,
};
const unasked = { negotiated: keep, refused: keep };
const heard = {
  events: received,
  ephemeral: heardEphemeral,
  progress: progressed,
  reported,
  reset: wasReset,
  migrate: migrated,
  reconnect: advised,
  due,
};

const table: Table = {
  idle: { ...unheard, ...unasked, start, stop: keep, online: keep, services: want, timer: keep },
  failed: { ...unheard, ...unasked, start, stop, online: keep, services: want, timer: keep },
  negotiating: {
    ...unheard,
    start: keep,
    stop,
    online: calm,
    services: want,
    negotiated,
    refused,
    timer: postponed,
  },
  waiting: {
    ...unheard,
    ...unasked,
    start,
    stop,
    online: ({ memory }) => negotiate(rested(memory)),
    services: want,
    timer: (state, event) => (event.timer === 'retry' ? negotiate(state.memory) : rung(state, event)),
  },
  connecting: {
    ...unheard,
    ...unasked,
    opened,
    reported,
    closed: closedWhileConnecting,
    start: keep,
    stop,
    online: calm,
    services: want,
    timer: (state, event) => (event.timer === 'opening' ? openingTimedOut(state) : postponed(state, event)),
  },
  live: {
    ...unasked,
    ...heard,
    opened: keep,
    closed: closedWhileServed,
    // Restarted by the application: on long-poll that asks again, a stream is where it should be.
    start: ({ memory, live }) =>
      ask({ ...memory, streamFailures: 0, isGatewayInTrouble: false, streamAvoided: undefined }, live),
    stop,
    online: calm,
    services: (state, event) => reconcile({ ...state, memory: wanting(state.memory, event) }),
    timer: (state, event) => {
      const { memory, live } = state;
      const { timer } = event;
      if (timer === 'stream' && live.transport === 'long-poll' && memory.streamAvoided !== undefined)
        return ask(trusting(memory), live);
      if (timer !== 'ask') return rung(state, event);
      // Long-poll for want of a stream is not for ever; on leaving, the reason to avoid one still holds.
      // What a question that failed has told still counts when it is asked again.
      const isGatewayInTrouble = memory.isAskPutOff && memory.isGatewayInTrouble;
      return ask(live.isLeaving ? memory : { ...memory, isGatewayInTrouble, streamAvoided: undefined }, live);
    },
  },
  asking: {
    ...heard,
    opened: keep,
    closed: (state, event) => {
      const isPlain = event.verdict !== 'never' && event.verdict !== 'reauth';
      if (!isPlain || !state.memory.settings.autoreconnect) return closedWhileServed(state, event);
      // The question that is out serves for the new connection too.
      return keep({ phase: 'negotiating', memory: lost(state, event) });
    },
    negotiated: negotiatedWhileServed,
    refused: refusedWhileServed,
    start: keep,
    stop,
    online: calm,
    services: want,
    timer: postponed,
  },
  moving: {
    ...unasked,
    ...heard,
    opened,
    closed: closedWhileMoving,
    start: keep,
    stop,
    online: calm,
    services: want,
    timer: (state, event) => (event.timer === 'opening' ? openingTimedOut(state) : postponed(state, event)),
  },
};

/** How a client begins: nothing is open, nothing is asked. @param cursor where to go on; absent: from now on. */
export function initialState(services: readonly string[], cursor?: string): State {
  return {
    phase: 'idle',
    memory: {
      services,
      position: cursor === undefined ? undefined : { cursor },
      audit: undefined,
      decided: 'long-poll',
      assignment: undefined,
      heard: 0,
      killedAt: undefined,
      urls: undefined,
      // Until the first negotiation hands out others.
      settings: {
        autoreconnect: true,
        backoffMs: [1000, 2000, 4000, 8000, 16_000],
        jitter: 0.2,
        maxAttempts: 10,
        reconnectWithinMs: 2000,
        pingMs: 30_000,
      },
      ...untroubled,
      links: 0,
      asks: 0,
    },
  };
}

/** Single writer: what a connection says that is neither live nor next is dropped, whatever it is. */
export function step(state: State, event: Event): Step {
  if ('link' in event && event.link !== state.live?.id && event.link !== state.next?.id) return keep(state);
  // The table pairs each phase and event with a cell for just these; TypeScript can't follow an index by two unions.
  const cell = table[state.phase][event.type] as (state: State, event: Event) => Step;
  const after = cell(state, event);
  const again = streamAgain(state.memory, after.state);
  return again.length === 0 ? after : { ...after, effects: [...after.effects, ...again] };
}
