/** The members of the demo's crowd, and the thread that it runs in. */
import { Worker } from 'node:worker_threads';
import type { CrowdState, Member, PageTokens } from '../../clients/demo/state.ts';
import type { Clock } from '../clock.ts';
import { demoTokens, tokenSigner } from './demo.ts';

/** Two orgs, neither of them the printed user's, whose events begin at seq 1. */
const crowdOrgs = ['demo-north', 'demo-south'] as const;
export const crowdServices = ['finance', 'guest', 'staff'] as const;
/** Every third user has a legacy client. */
const legacyEvery = 3;
const endMs = 1000;

export interface CrowdMember extends Pick<Member, 'org' | 'user' | 'kind'> {
  readonly token: string;
  readonly services: readonly string[];
}

/** The crowd's thread is started with this. */
export interface CrowdOrders {
  readonly url: string;
  readonly members: readonly CrowdMember[];
  readonly producerToken: string;
}

export type CrowdThread = Awaited<ReturnType<typeof startCrowd>>;

/** Nobody there yet. */
export const emptyCrowd: CrowdState = {
  members: [],
  totals: { published: 0, delivered: 0, underWay: 0, lost: 0, repeated: 0 },
  moves: [],
};

export async function startCrowd(options: {
  readonly url: string;
  readonly size: number;
  /** The HS256 secret that the gateway verifies with. */
  readonly secret: string;
  readonly clock: Clock;
  readonly onFailure: (error: unknown) => void;
}) {
  const { url, size, secret, clock, onFailure } = options;
  const sign = tokenSigner(secret, clock);
  const members = await Promise.all(
    Array.from({ length: size }, async (_, index): Promise<CrowdMember> => {
      const org = crowdOrgs[index % crowdOrgs.length] ?? crowdOrgs[0];
      const user = `user-${String(index + 1).padStart(2, '0')}`;
      // Half of them read one service less, so that a move must keep each user's own set.
      const services = index % 4 < 2 ? crowdServices : crowdServices.slice(index % 2, 2 + (index % 2));
      const kind = index % legacyEvery === legacyEvery - 1 ? 'legacy' : 'sdk';
      return { org, user, kind, services, token: await sign({ org, sub: user }) };
    }),
  );
  const producerToken = await sign({
    org: crowdOrgs[0],
    sub: 'demo-backend',
    roles: ['producer'],
    orgs: [...crowdOrgs],
  });
  const orders: CrowdOrders = { url, members, producerToken };
  // A thread has no loader for sources: `npm run dev` builds first.
  const isBuilt = import.meta.url.endsWith('.js');
  const script = new URL(isBuilt ? 'crowd.js' : '../../dist/src/demo/crowd.js', import.meta.url);
  const thread = new Worker(script, { workerData: orders });
  thread.on('error', onFailure);
  let last = emptyCrowd;
  thread.on('message', (state: CrowdState) => {
    last = state;
  });
  const ended = new Promise<void>((resolve) => {
    thread.once('exit', () => resolve());
  });
  return {
    /** The crowd as it was a moment ago. */
    state: (): CrowdState => last,
    /** Resolves once its sockets are closed. */
    async end(): Promise<void> {
      thread.postMessage('end');
      const cancel = clock.after(endMs, () => void thread.terminate());
      await ended;
      cancel();
    },
  };
}

/** Returns the tokens of the page: an SRE's, and those of two users whose org has events. */
export async function pageTokens(secret: string, clock: Clock): Promise<PageTokens> {
  const sign = tokenSigner(secret, clock);
  const { ADMIN_TOKEN: admin } = await demoTokens(secret, clock);
  const [org] = crowdOrgs;
  return {
    admin,
    legacy: await sign({ org, sub: 'page-legacy' }),
    sdk: await sign({ org, sub: 'page-sdk' }),
    services: crowdServices,
  };
}
