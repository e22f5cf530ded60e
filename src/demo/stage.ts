/** The demo of one node, put together: its routes, and once the node listens, its trickle and its crowd. */
import { Hono, type MiddlewareHandler } from 'hono';
import type { CrowdState } from '../../clients/demo/state.ts';
import type { Cancel, Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { demoBackend, type DemoPublish, startTrickle } from './backend.ts';
import { type CrowdThread, emptyCrowd, pageTokens, startCrowd } from './crowd-thread.ts';
import { demoPage } from './page.ts';

export async function openStage(parts: {
  readonly config: Pick<Config, 'TURNOUT_DEMO_CROWD'>;
  readonly clock: Clock;
  /** The HS256 secret that the node made up for this run. */
  readonly secret: string;
  readonly publish: DemoPublish;
  /** Refuses a body of more bytes. */
  readonly atMost: (maxBytes: number) => MiddlewareHandler;
  readonly onFailure: (error: unknown, what: string) => void;
}) {
  const { config, clock, secret, publish, onFailure } = parts;
  const tokens = await pageTokens(secret, clock);
  let crowd: CrowdThread | undefined;
  let stopTrickle: Cancel | undefined;
  const state = (): CrowdState => crowd?.state() ?? emptyCrowd;
  const routes = new Hono()
    .route('/', demoBackend(publish, parts.atMost))
    .route('/', demoPage(state, tokens));
  return {
    routes,
    /** @param url where the node listens, base path included */
    async begin(url: string): Promise<void> {
      stopTrickle = startTrickle(clock, publish, (error) =>
        onFailure(error, 'the trickle could not publish'),
      );
      const size = config.TURNOUT_DEMO_CROWD;
      if (size === 0) return;
      const onEnd = (error: unknown): void => onFailure(error, "the demo's crowd has ended");
      crowd = await startCrowd({ url, size, secret, clock, onFailure: onEnd });
    },
    async end(): Promise<void> {
      stopTrickle?.();
      await crowd?.end();
    },
  };
}
