/** Handlers for what a connection brings: events, places, resets, orders to move. Pure. */
import { extended, spanFrom } from './audit.ts';
import { ask, closeAll, open } from './connecting.ts';
import { advance, freshAfter, isForeign } from './cursor.ts';
import { closedWhileServed } from './losing.ts';
import type { Connecting, Effect, EventOf, Link, Memory, Moving, Served, State, Step } from './states.ts';

type Receiving = Served<'live'> | Served<'asking'> | Moving;

const keep = (state: State): Step => ({ state, effects: [] });

export function received(state: Receiving, { at, events }: EventOf<'events'>): Step {
  const { memory } = state;
  if (isForeign(memory.position, at)) return distrust(state);
  const fresh = freshAfter(memory.position, events);
  const repeats = events.length - fresh.length;
  const span = spanOf(state);
  const audit = span && extended(span, at, fresh, repeats);
  return {
    state: { ...state, memory: { ...memory, audit, position: advance(memory.position, at) } },
    effects: [{ do: 'deliver', events: fresh, repeats }],
  };
}

/** Everything of ours up to a place has been sent, and so received. */
export function progressed(state: Receiving, event: EventOf<'progress'>): Step {
  const { memory } = state;
  const { at, why } = event;
  if (isForeign(memory.position, at)) return distrust(state);
  const live = why === 'answer' ? answered(state.live) : state.live;
  const before = { ...state, live };
  const span = spanOf(before);
  const audit = span && extended(span, at, [], 0);
  const position = advance(memory.position, at);
  // The new token may allow fewer services: from here on they are filtered by another set.
  if (why === 'renewal')
    return keep({ ...before, memory: { ...memory, position, audit: spanFrom(position) } });
  if (why !== 'ping') return keep({ ...before, memory: { ...memory, position, audit } });
  return {
    // What was reported once is not reported again.
    state: { ...before, memory: { ...memory, position, audit: audit && spanFrom(position) } },
    effects: [{ do: 'pong', link: event.link, audit }],
  };
}

/** A request took the span so far with it: what was reported once is not reported again. */
export function reported(state: Receiving | Connecting): Step {
  const { memory } = state;
  return keep({ ...state, memory: { ...memory, audit: memory.audit && spanFrom(memory.position) } });
}

const answered = (link: Link): Link => ({ ...link, unanswered: Math.max(0, link.unanswered - 1) });

/** The span that goes on, or a new one where it is known by which services events are filtered. */
function spanOf({ memory, live }: Receiving) {
  return memory.audit ?? (live.unanswered === 0 ? spanFrom(memory.position) : undefined);
}

/** It speaks of another log and never said `reset`: the cursor is shown again, so that it does. */
function distrust(state: Receiving): Step {
  const closing = closeAll(state);
  const { state: after, effects } = closedWhileServed(
    { phase: 'live', memory: state.memory, live: state.live },
    { type: 'closed', link: state.live.id, verdict: 'window', code: 'foreign_epoch' },
  );
  return { state: after, effects: [{ do: 'cancel', timer: 'opening' }, ...closing, ...effects] };
}

/** The application is told; events go on after the place named. In a hand-over the old one is silenced. */
export function wasReset(state: Receiving, { at, reason, link }: EventOf<'reset'>): Step {
  const memory: Memory = { ...state.memory, position: at, audit: spanFrom(at) };
  const told: Effect = { do: 'reset', reason, at };
  if (state.phase !== 'moving' || link !== state.live.id)
    return { state: { ...state, memory }, effects: [told] };
  return {
    state: { phase: 'connecting', memory, next: state.next },
    effects: [{ do: 'close', link: state.live.id }, told],
  };
}

/** Two connections would each bring the same one, and there is no seq to tell: only the live one is heard. */
export function heardEphemeral(state: Receiving, { link, events }: EventOf<'ephemeral'>): Step {
  if (link !== state.live.id) return keep(state);
  return { state, effects: [{ do: 'ephemeral', events }] };
}

/** An order to move. Long-poll is obeyed at any number and needs no ticket; for a stream the gateway is asked. */
export function migrated(state: Receiving, event: EventOf<'migrate'>): Step {
  const { memory: before, live } = state;
  if (event.link !== live.id) return keep(state);
  if (event.transport === 'websocket') return due(state, { ...event, type: 'due' });
  const memory: Memory = {
    ...before,
    decided: 'long-poll',
    assignment: Math.max(event.assignment, before.assignment ?? 0),
    // Its seq is not told, and the known one stays: a bound that is too low filters nothing away.
    position: before.position && { ...before.position, cursor: event.cursor },
  };
  if (live.transport === 'long-poll' || state.next?.transport === 'long-poll')
    return keep({ ...state, memory });
  const { state: after, effects } = open(memory, 'long-poll', live);
  const replaced: Effect[] = state.next === undefined ? [] : [{ do: 'close', link: state.next.id }];
  return { state: after, effects: [...replaced, ...effects] };
}

/** The server wants this connection to end soon: another is opened at a random moment of the time it gave. */
export function advised(state: Receiving, { link, withinMs }: EventOf<'reconnect'>): Step {
  // In a hand-over from this very connection the advice is being followed.
  if (link !== state.live.id || state.phase === 'moving') return keep(state);
  const live: Link = { ...state.live, isLeaving: true };
  if (state.phase === 'asking') return keep({ ...state, live });
  // Some of the time is left for the opening itself.
  const delay = { withinMs: withinMs * 0.8 };
  return { state: { ...state, live }, effects: [{ do: 'wait', timer: 'ask', delay }] };
}

/** A poll said that this user is due on a stream. Asked about once for each assignment, above those that were followed. */
export function due(state: Receiving, { assignment }: EventOf<'due'>): Step {
  const { memory } = state;
  const isNews = assignment > Math.max(memory.assignment ?? 0, memory.heard);
  // A question that is out may be answered by older rules, and this is said but once: it is asked anew.
  if (!isNews || memory.isAskPutOff || state.phase === 'moving') return keep(state);
  return ask({ ...memory, heard: assignment, olderAnswers: 0, streamAvoided: undefined }, state.live);
}
