/**
 * Where one of many callbacks throws, the others go on: the fault is caught there, told, and counted by its place. Without a
 * handler it ends where Node reports what nobody caught.
 */
import type { Clock } from '../clock.ts';

/** Where a fault was caught: the label of `turnout_faults_total`. */
export type FaultPlace = 'feed' | 'reader' | 'timer' | 'stream' | 'subscription' | 'rejection' | 'process';

/** A callback of this node threw. It must not throw itself. */
export type OnFault = (where: FaultPlace, error: unknown) => void;

export const uncaught: OnFault = (_where, error) =>
  queueMicrotask(() => {
    throw error;
  });

/** Runs each; what one throws is told, and the rest run all the same. */
export function runEach(runs: Iterable<() => void>, where: FaultPlace, onFault: OnFault): void {
  for (const run of runs)
    try {
      run();
    } catch (error) {
      onFault(where, error);
    }
}

/** The same clock, whose timers tell what they throw: one of them must not end the node. */
export function isolatingTimers(clock: Clock, onFault: OnFault): Clock {
  const isolated = (run: () => void) => (): void => runEach([run], 'timer', onFault);
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    random: () => clock.random(),
    id: () => clock.id(),
    tag: (bits) => clock.tag(bits),
    after: (ms, run) => clock.after(ms, isolated(run)),
    every: (ms, run) => clock.every(ms, isolated(run)),
  };
}
