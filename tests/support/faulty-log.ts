/**
 * A log that fails when a test says so, around a real one. Everything is on until a test switches it off, and `heal`
 * switches all of it on again.
 *
 *   const log = faultyLog(createMemoryLog({ … }));
 *   log.refuse('append');            // from now on: log_unavailable, nothing kept
 *   log.refuseAnswers('append');     // kept, but the caller hears log_unavailable (an answer lost on its way)
 *   log.spoil('read');               // new calls fail by a fault of the code's own, which is no code of the protocol
 *   log.hold('tail');                // calls wait outside the log until `heal`
 *   log.holdAnswers('read');         // calls are carried out, their answers wait: what was read grows old
 *   log.loseTail();                  // tails hear nothing; a later message's `previous` shows the gap
 *   log.heal();                      // held calls go on, tails hear again
 *   log.interrupt();                 // tails are told 'interrupted', as after a lost connection
 *   await until(() => log.waiting('read') === 1);
 */
import { fail } from '../../src/errors.ts';
import type { EventLog, TailMessage } from '../../src/log/event-log.ts';

type LogCall = 'append' | 'publishEphemeral' | 'read' | 'tail';

export interface FaultyLog extends EventLog {
  readonly refuse: (...calls: LogCall[]) => void;
  readonly refuseAnswers: (...calls: LogCall[]) => void;
  readonly spoil: (...calls: LogCall[]) => void;
  readonly hold: (...calls: LogCall[]) => void;
  readonly holdAnswers: (...calls: LogCall[]) => void;
  readonly loseTail: () => void;
  readonly heal: () => void;
  readonly interrupt: () => void;
  /** Calls (of one kind) that are held right now, before the log or behind it. */
  readonly waiting: (call: LogCall) => number;
  /** Calls (of one kind) made so far: what a test of single flight counts. */
  readonly calls: (call: LogCall) => number;
}

export function faultyLog(inner: EventLog): FaultyLog {
  const refused = new Set<LogCall>();
  const refusedAnswers = new Set<LogCall>();
  const spoiled = new Set<LogCall>();
  const held = new Set<LogCall>();
  const heldAnswers = new Set<LogCall>();
  const waits: { readonly call: LogCall; readonly goOn: () => void }[] = [];
  const made: Record<LogCall, number> = { append: 0, publishEphemeral: 0, read: 0, tail: 0 };
  const listeners = new Set<(message: TailMessage) => void>();
  let losesTail = false;

  const pass = async (call: LogCall, holding: ReadonlySet<LogCall>, refusing: ReadonlySet<LogCall>) => {
    if (holding.has(call)) await new Promise<void>((goOn) => waits.push({ call, goOn }));
    if (refusing.has(call)) throw fail('log_unavailable');
  };
  const around = async <T>(call: LogCall, run: () => Promise<T>, undo?: (answer: T) => Promise<void>) => {
    made[call] += 1;
    if (spoiled.has(call)) throw new TypeError('spoiled');
    await pass(call, held, refused);
    const answer = await run();
    try {
      await pass(call, heldAnswers, refusedAnswers);
    } catch (error) {
      await undo?.(answer);
      throw error;
    }
    return answer;
  };
  const adder =
    (calls: Set<LogCall>) =>
    (...added: LogCall[]) => {
      for (const call of added) calls.add(call);
    };

  return {
    append: (...call) => around('append', () => inner.append(...call)),
    publishEphemeral: (org, events) => around('publishEphemeral', () => inner.publishEphemeral(org, events)),
    read: (org, start, limits) => around('read', () => inner.read(org, start, limits)),
    tail: (org, listener) =>
      around(
        'tail',
        async () => {
          const tail = await inner.tail(org, (message) => {
            if (!losesTail) listener(message);
          });
          listeners.add(listener);
          return {
            close: async () => {
              listeners.delete(listener);
              await tail.close();
            },
          };
        },
        (tail) => tail.close(),
      ),
    health: () => {
      const health = inner.health();
      const isReachable = health.isReachable && !refused.has('read');
      return { ...health, isUp: health.isUp && refused.size === 0, isReachable };
    },
    close: () => inner.close(),

    refuse: adder(refused),
    refuseAnswers: adder(refusedAnswers),
    spoil: adder(spoiled),
    hold: adder(held),
    holdAnswers: adder(heldAnswers),
    loseTail: () => {
      losesTail = true;
    },
    heal: () => {
      for (const calls of [refused, refusedAnswers, spoiled, held, heldAnswers]) calls.clear();
      losesTail = false;
      for (const { goOn } of waits.splice(0)) goOn();
    },
    interrupt: () => {
      for (const listener of listeners) listener({ kind: 'interrupted' });
    },
    waiting: (call) => waits.filter((wait) => wait.call === call).length,
    calls: (call) => made[call],
  };
}
