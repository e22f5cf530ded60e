/** The test's side of the slow swarm: forks it, gives orders one at a time, ends it by its id. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SwarmOrder, SwarmReport } from './slow-swarm.ts';

export interface Swarm {
  order(order: Exclude<SwarmOrder, { do: 'report' }>): Promise<void>;
  report(range: { readonly from: number; readonly to: number }): Promise<SwarmReport[]>;
  close(): void;
}

export function forkSwarm(): Swarm {
  const child = fork('tests/support/slow-swarm.ts', { execArgv: ['--import', 'tsx'], stdio: 'inherit' });
  const send = async (order: SwarmOrder): Promise<unknown> => {
    child.send(order);
    const [answer] = (await once(child, 'message')) as [{ result?: unknown; failed?: string }];
    if (answer.failed !== undefined) throw new Error(`the swarm failed to ${order.do}: ${answer.failed}`);
    return answer.result;
  };
  return {
    order: async (order) => {
      await send(order);
    },
    // Both ends are of this repository: what `report` answers is what slow-swarm.ts says.
    report: async (range) => (await send({ do: 'report', ...range })) as SwarmReport[],
    close: () => {
      child.kill('SIGKILL');
    },
  };
}
