/** Handlers that open and replace connections: negotiation, hand-over. Pure. */
import type { Transport } from '../../schema/frames.ts';
import type { Delay } from './backoff.ts';
import type {
  Connecting,
  Effect,
  EventOf,
  Link,
  Memory,
  Moving,
  Served,
  State,
  StateOf,
  Step,
} from './states.ts';

const askAgainMs = 10 * 60_000;
// After three streams that failed while the gateway was in trouble; each further one doubles it.
const troubledAskMs = 30_000;
const openingMs = { websocket: 6000, 'long-poll': 15_000 } as const;

/** Asks which transport to use, with nothing to be served by meanwhile. */
export function negotiate(before: Memory, mustDiffer = false): Step {
  const { memory, effect } = question(before, undefined, mustDiffer);
  return {
    state: { phase: 'negotiating', memory },
    effects: [{ do: 'cancel', timer: 'retry' }, { do: 'cancel', timer: 'ask' }, effect],
  };
}

/** The same while `live` goes on serving. */
export function ask(before: Memory, live: Link, mustDiffer = false): Step {
  const { memory, effect } = question({ ...before, isAskPutOff: false }, live.transport, mustDiffer);
  return { state: { phase: 'asking', memory, live }, effects: [{ do: 'cancel', timer: 'ask' }, effect] };
}

/** More than streams fails, or is slow: then streams that fail are no sign of a network that blocks them. */
export function troubled(memory: Memory): Memory {
  if (memory.streamFailures === 0) return memory;
  const streamAvoided = memory.streamAvoided === 'blocked' ? 'trouble' : memory.streamAvoided;
  return { ...memory, isGatewayInTrouble: true, streamAvoided };
}

function question(before: Memory, current: Transport | undefined, mustDiffer: boolean) {
  const memory = { ...before, asks: before.asks + 1 };
  const avoided = memory.streamAvoided;
  const effect: Effect = {
    do: 'negotiate',
    ask: memory.asks,
    supports: avoided === undefined ? ['websocket', 'long-poll'] : ['long-poll'],
    current,
    isBlocked: avoided === 'blocked',
    mustDiffer,
  };
  return { memory, effect };
}

export function negotiated(state: StateOf<'negotiating'>, event: EventOf<'negotiated'>): Step {
  if (event.ask !== state.memory.asks) return { state, effects: [] };
  const memory = follow(state.memory, event);
  return open(memory, memory.decided, undefined);
}

export function negotiatedWhileServed(state: Served<'asking'>, event: EventOf<'negotiated'>): Step {
  if (event.ask !== state.memory.asks) return { state, effects: [] };
  const memory = { ...follow(state.memory, event), isReauthorizing: false };
  const { live } = state;
  if (memory.decided === live.transport && !live.isLeaving) return settle(memory, live);
  return open(memory, memory.decided, live);
}

/** An older decision for `websocket` is ignored, and one that a killed node refused; `long-poll` is obeyed at any number. */
function follow(before: Memory, { answer, isSlow = false }: EventOf<'negotiated'>): Memory {
  const memory = isSlow ? troubled(before) : before;
  const { transport, assignment, urls, client: settings, cursor } = answer;
  const isOlder = memory.assignment !== undefined && assignment < memory.assignment;
  const isKilled = memory.killedAt !== undefined && assignment <= memory.killedAt;
  const isNewer = assignment > (memory.assignment ?? 0);
  const decided = transport === 'websocket' && isOlder ? memory.decided : transport;
  return {
    ...memory,
    urls,
    settings,
    decided: isKilled ? 'long-poll' : decided,
    assignment: Math.max(assignment, memory.assignment ?? 0),
    // A stream that newer rules refused (4410) says nothing of the network.
    streamFailures: isNewer ? 0 : memory.streamFailures,
    isGatewayInTrouble: memory.isGatewayInTrouble && !isNewer,
    position: memory.position ?? (cursor === undefined ? undefined : { cursor }),
  };
}

/** Opens a connection at the last received cursor; beside `live`, which is closed once the new one is acknowledged. */
export function open(before: Memory, transport: Transport, live: Link | undefined): Step {
  const { urls, services } = before;
  if (urls === undefined) return live === undefined ? negotiate(before) : ask(before, live);
  const memory = { ...before, links: before.links + 1 };
  // A stream can't begin with no services; a poll without any rests until there are some.
  const used = services.length === 0 ? 'long-poll' : transport;
  const link: Link = { id: memory.links, transport: used, services, unanswered: 0, isLeaving: false };
  const effects: Effect[] = [
    { do: 'cancel', timer: 'ask' },
    { do: 'open', link, url: urls[used], cursor: memory.position?.cursor },
    { do: 'wait', timer: 'opening', delay: { baseMs: openingMs[used], jitter: 0 } },
  ];
  if (live === undefined) return { state: { phase: 'connecting', memory, next: link }, effects };
  return { state: { phase: 'moving', memory, live, next: link }, effects };
}

/** The new connection is acknowledged: it serves from now on, and the old one, if any, is closed. */
export function opened(state: Connecting | Moving, event: EventOf<'opened'>): Step {
  const { memory: before, live: old, next } = state;
  if (event.link !== next.id) return { state, effects: [] };
  const memory: Memory = {
    ...before,
    attempts: 0,
    hasRetriedAtOnce: false,
    isReauthorizing: false,
    isAskPutOff: false,
    ...(next.transport === 'websocket' && { streamFailures: 0, isGatewayInTrouble: false }),
    // Only a client that had no place takes the ack's: a `reset` may be on its way behind it, and would be lost with it.
    position: before.position ?? event.at,
  };
  const { state: served, effects } = settle(memory, next);
  const closing: Effect[] = old === undefined ? [] : [{ do: 'close', link: old.id }];
  return { state: served, effects: [{ do: 'cancel', timer: 'opening' }, ...closing, ...effects] };
}

/** Served by one connection alone: what waited for that is done now. */
export function settle(before: Memory, live: Link): Step {
  const { settings, heard, assignment = 0, olderAnswers, streamAvoided } = before;
  // On long-poll it asks again now and then; a stream is told.
  if (live.transport === 'websocket') return settled(before, live, { do: 'cancel', timer: 'ask' });
  // While streams are avoided the time for that alone says when one is asked for.
  if (heard <= assignment || streamAvoided !== undefined)
    return settled({ ...before, olderAnswers: 0 }, live, askAfter(askAgainMs));
  // A poll told of newer rules than any that have answered: that node is behind, and perhaps not for long.
  const baseMs = (settings.backoffMs[0] ?? 1000) * 2 ** olderAnswers;
  const memory = { ...before, olderAnswers: olderAnswers + 1 };
  return settled(memory, live, askAfter(Math.min(baseMs, askAgainMs)));
}

const askAfter = (baseMs: number): Effect => ({ do: 'wait', timer: 'ask', delay: { baseMs, jitter: 0.2 } });

/** @param timer when it is asked again. */
export function settled(memory: Memory, live: Link, timer: Effect): Step {
  const { state, effects } = reconcile({ phase: 'live', memory, live });
  return { state, effects: [timer, ...effects] };
}

/**
 * When a stream is tried again, from when they began to be avoided. A timer of its own: polls that fail now and then begin
 * the wait for the next question anew, and would put it off for ever.
 */
export function streamAgain(before: Memory, { phase, memory }: State): Effect[] {
  const { streamAvoided, streamFailures } = memory;
  if (streamAvoided === undefined || streamAvoided === before.streamAvoided) return [];
  if (phase === 'failed' || phase === 'idle') return [];
  return [{ do: 'wait', timer: 'stream', delay: untilStream(streamAvoided, streamFailures) }];
}

function untilStream(avoided: Memory['streamAvoided'], failures: number): Delay {
  if (avoided !== 'trouble') return { baseMs: askAgainMs, jitter: 0.2 };
  const baseMs = troubledAskMs * 2 ** Math.max(0, failures - 3);
  // All who were turned away together come back over a wide span.
  return { baseMs: Math.min(baseMs, askAgainMs), jitter: 0.5 };
}

/** Tells the connection which services the application wants, where it was told otherwise. */
export function reconcile(state: Served<'live'>): Step {
  const { memory, live } = state;
  const { services } = memory;
  const isSame = services.length === live.services.length && services.every((s) => live.services.includes(s));
  if (isSame) return { state, effects: [] };
  const added = services.some((service) => !live.services.includes(service));
  const removed = live.services.some((service) => !services.includes(service));
  const answers = live.transport === 'websocket' ? Number(added) + Number(removed) : 0;
  const told: Link = { ...live, services, unanswered: live.unanswered + answers };
  return {
    state: { phase: 'live', memory: { ...memory, audit: undefined }, live: told },
    effects: [{ do: 'services', link: live.id, services }],
  };
}

/** Ends everything that is open. */
export function closeAll(state: State): Effect[] {
  const links = [state.live, state.next].filter((link) => link !== undefined);
  return links.map(({ id }) => ({ do: 'close', link: id }));
}
