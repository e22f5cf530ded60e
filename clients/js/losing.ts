/** Handlers for what fails: refused questions, connections that end, the retries and the giving up. Pure. */
import { backoff, type Delay } from './backoff.ts';
import { isGatewaysClose, type Verdict } from './closes.ts';
import { ask, negotiate, settle, settled, troubled } from './connecting.ts';
import type {
  Connecting,
  Effect,
  EventOf,
  FailureCause,
  Link,
  Memory,
  Moving,
  Served,
  StateOf,
  Step,
} from './states.ts';

/** Streams that failed before `ack` in a row until long-poll is asked for: something in between blocks them, perhaps. */
const avoidedAfter = 3;

function fail(memory: Memory, cause: FailureCause, code: number | string): Step {
  return {
    state: { phase: 'failed', memory: { ...memory, isReauthorizing: false, failure: { cause, code } } },
    effects: [
      { do: 'cancel', timer: 'retry' },
      { do: 'cancel', timer: 'ask' },
      { do: 'cancel', timer: 'opening' },
      { do: 'cancel', timer: 'stream' },
    ],
  };
}

function wait(memory: Memory, delay: Delay): Step {
  const effects: Effect[] = [
    { do: 'cancel', timer: 'ask' },
    { do: 'wait', timer: 'retry', delay },
  ];
  return { state: { phase: 'waiting', memory }, effects };
}

/** @param retryAfterMs what the gateway asked for: it isn't bothered before. */
function backOff(memory: Memory, code: number | string, retryAfterMs?: number): Step {
  if (memory.attempts >= memory.settings.maxAttempts) return fail(memory, 'attempts', code);
  const delay = backoff(memory.attempts, memory.settings, retryAfterMs);
  return wait({ ...memory, attempts: memory.attempts + 1 }, delay);
}

/** A token was refused: once more, and only with one that differs. */
function reauthorize(memory: Memory, code: number | string): Step {
  if (memory.isReauthorizing) return fail(memory, 'unauthorized', code);
  return negotiate({ ...memory, isReauthorizing: true }, true);
}

/** Negotiation failed and nothing serves. */
export function refused(state: StateOf<'negotiating'>, event: EventOf<'refused'>): Step {
  const { ask: id, verdict, code, retryAfterMs } = event;
  if (id !== state.memory.asks) return { state, effects: [] };
  const memory = verdict === 'backoff' ? troubled(state.memory) : state.memory;
  if (verdict === 'never') return fail(memory, 'refused', code);
  return verdict === 'reauth' ? reauthorize(memory, code) : backOff(memory, code, retryAfterMs);
}

/** Negotiation failed while something serves: that goes on, and it is asked again later. */
export function refusedWhileServed(state: Served<'asking'>, event: EventOf<'refused'>): Step {
  const { live } = state;
  if (event.ask !== state.memory.asks) return { state, effects: [] };
  const memory = event.verdict === 'backoff' ? troubled(state.memory) : state.memory;
  if (event.verdict === 'reauth' && !memory.isReauthorizing)
    return ask({ ...memory, isReauthorizing: true }, live, true);
  return askLater({ ...memory, isReauthorizing: false }, live, event);
}

function askLater(memory: Memory, live: Link, { retryAfterMs }: EventOf<'refused' | 'closed'>): Step {
  const { attempts, settings } = memory;
  // Whoever is served never runs out of attempts.
  const next = Math.min(attempts + 1, settings.backoffMs.length - 1);
  const delay = backoff(attempts, settings, retryAfterMs);
  return settled({ ...memory, attempts: next, isAskPutOff: true }, live, { do: 'wait', timer: 'ask', delay });
}

/** A connection failed before it was acknowledged, and nothing else serves. */
export function closedWhileConnecting(state: Connecting, event: EventOf<'closed'>): Step {
  const { verdict, code, retryAfterMs } = event;
  const memory = withFailure(state.memory, state.next, event);
  const opening: Effect = { do: 'cancel', timer: 'opening' };
  const step = ((): Step => {
    if (verdict === 'never') return fail(memory, 'refused', code);
    if (verdict === 'reauth') return reauthorize(memory, code);
    const isFirst = !memory.hasRetriedAtOnce || memory.streamAvoided !== state.memory.streamAvoided;
    return isFirst && retryAfterMs === undefined
      ? negotiate({ ...memory, hasRetriedAtOnce: true })
      : backOff(memory, code, retryAfterMs);
  })();
  return { state: step.state, effects: [opening, ...step.effects] };
}

function withFailure(
  memory: Memory,
  link: Link,
  { isKill = false, code, verdict }: EventOf<'closed'>,
): Memory {
  if (link.transport !== 'websocket') return isPassing(verdict) ? troubled(memory) : memory;
  // Nothing is blocked: a node said no. Without this it would be asked again for as long as another node can't know.
  if (isKill) return { ...memory, killedAt: memory.assignment };
  const streamFailures = memory.streamFailures + 1;
  const isGatewayInTrouble = memory.isGatewayInTrouble || isGatewaysClose(code);
  const failed = { ...memory, streamFailures, isGatewayInTrouble };
  if (streamFailures < avoidedAfter) return failed;
  return { ...failed, streamAvoided: isGatewayInTrouble ? 'trouble' : 'blocked' };
}

const isPassing = (verdict: Verdict): boolean => verdict === 'window' || verdict === 'backoff';

/** What the end of the connection that serves tells: of a poll that fails, that it isn't streams alone. */
export const lost = (
  { memory, live }: Pick<Served<'live'>, 'memory' | 'live'>,
  { verdict }: EventOf<'closed'>,
): Memory => (live.transport === 'long-poll' && isPassing(verdict) ? troubled(memory) : memory);

/** The only connection ended. */
export function closedWhileServed(state: Served<'live'> | Served<'asking'>, event: EventOf<'closed'>): Step {
  const { verdict, code, retryAfterMs } = event;
  const { live } = state;
  const { settings } = state.memory;
  const fallsBack = isPassing(verdict) && live.transport === 'websocket' && !settings.autoreconnect;
  const before = lost(state, event);
  const memory: Memory = fallsBack ? { ...before, streamAvoided: 'autoreconnect' } : before;
  if (verdict === 'never') return fail(memory, 'refused', code);
  if (verdict === 'reauth') return reauthorize(memory, code);
  if (verdict === 'negotiate') return negotiate(memory);
  if (verdict === 'backoff') return backOff(memory, code, retryAfterMs);
  return wait(memory, { withinMs: memory.settings.reconnectWithinMs });
}

/** In a hand-over: the loss of the old leaves the new one to be waited for, the loss of the new keeps the old. */
export function closedWhileMoving(state: Moving, event: EventOf<'closed'>): Step {
  const { live, next } = state;
  if (event.link === live.id)
    return { state: { phase: 'connecting', memory: lost(state, event), next }, effects: [] };
  const memory = withFailure(state.memory, next, event);
  const opening: Effect = { do: 'cancel', timer: 'opening' };
  const { verdict } = event;
  const step =
    verdict === 'reauth' && !memory.isReauthorizing
      ? ask({ ...memory, isReauthorizing: true }, live, true)
      : verdict === 'never' || (memory.streamAvoided !== undefined && live.transport === 'long-poll')
        ? settle({ ...memory, isReauthorizing: false }, live)
        : askLater({ ...memory, isReauthorizing: false }, live, event);
  return { state: step.state, effects: [opening, ...step.effects] };
}

/** `next` had its time to be acknowledged. */
export function openingTimedOut(state: Connecting | Moving): Step {
  const event: EventOf<'closed'> = {
    type: 'closed',
    link: state.next.id,
    verdict: 'backoff',
    code: 'opening_timeout',
  };
  const step =
    state.phase === 'moving' ? closedWhileMoving(state, event) : closedWhileConnecting(state, event);
  return { state: step.state, effects: [{ do: 'close', link: state.next.id }, ...step.effects] };
}
