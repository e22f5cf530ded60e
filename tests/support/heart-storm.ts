/** What happens to the heart's gateways and connections: rules that jump, kills, cuts, stalls, restarts, tails that break. */
import { type Gateway, type Settings, startGateway } from './node-process.ts';
import { freePort } from './ports.ts';
import { admin } from './publisher.ts';
import type { Random } from './random.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import { sleep, until } from './until.ts';

const heartSettings: Settings = {
  WS_AUTORECONNECT: 'true',
  TURNOUT_PING_MS: '1000',
  TURNOUT_KILL_WINDOW_MS: '500',
  TURNOUT_MOVE_WITHIN_MS: '1000',
  TURNOUT_MOVE_RATE: '1000',
  TURNOUT_DRAIN_MS: '1500',
};

/** A gateway that comes back on its port. */
export class Phoenix {
  private gateway: Gateway;
  private readonly settings: Settings;

  private constructor(gateway: Gateway, settings: Settings) {
    this.gateway = gateway;
    this.settings = settings;
  }

  static async start(settings: Settings = {}): Promise<Phoenix> {
    const all = { ...heartSettings, ...settings, TURNOUT_PORT: String(await freePort()) };
    return new Phoenix(await startGateway(all), all);
  }

  get url(): string {
    return this.gateway.url;
  }

  get isRunning(): boolean {
    return this.gateway.isRunning;
  }

  async restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (signal === 'SIGTERM') await this.gateway.stop();
    else await this.gateway.kill();
    this.gateway = await startGateway(this.settings);
  }

  kill(): Promise<void> {
    return this.gateway.kill();
  }
}

export interface StormOptions {
  readonly nodes: readonly Phoenix[];
  readonly proxy: TcpProxy;
  readonly random: Random;
  readonly forMs: number;
  readonly restarts: boolean;
  /** Cuts the gateways' tails of the log. @returns how many */
  readonly cutTails?: () => Promise<number>;
}

/** A throw of the dice each for a kill and its end, a percentage, a cut and a stall: chance alone leaves one out now and then. */
const firstThrows: readonly number[] = [4, 5, 0, 7, 9];
const calmMs = { min: 50, max: 700 } as const;
const restartEveryMs = { min: 3000, max: 6000 } as const;
const tailsEveryMs = { min: 500, max: 3000 } as const;

export class Storm {
  readonly counts = { percents: 0, kills: 0, cuts: 0, stalls: 0, tails: 0, SIGTERM: 0, SIGKILL: 0 };
  private readonly options: StormOptions;
  private strikes = 0;

  constructor(options: StormOptions) {
    this.options = options;
  }

  /** Until its time is up and every gateway runs again, with everybody assigned to WebSocket. */
  async rage(): Promise<void> {
    const { random, forMs, restarts } = this.options;
    const endMs = performance.now() + forMs;
    const isOver = (): boolean => performance.now() >= endMs;
    const beside = [...(restarts ? [this.restartNow(isOver)] : []), this.breakTails(isOver)];
    while (!isOver()) {
      await this.strike();
      await sleep(random.int(calmMs.min, calmMs.max));
    }
    await Promise.all(beside);
    await until(() => this.command('POST', '/rollout/unkill', {}), 'an unkill');
    await until(() => this.command('PUT', '/rollout/percent', { percent: 100 }), 'the last percent');
  }

  private async strike(): Promise<void> {
    const { random, proxy } = this.options;
    const next = (): number => random.next();
    const dice = firstThrows[this.strikes] ?? random.int(0, 9);
    this.strikes += 1;
    if (dice < 4) {
      this.counts.percents += 1;
      await this.command('PUT', '/rollout/percent', { percent: random.pick([0, 10, 50, 90, 100]) });
    } else if (dice < 5) {
      this.counts.kills += 1;
      await this.command('POST', '/rollout/kill', {});
    } else if (dice < 7) await this.command('POST', '/rollout/unkill', {});
    else if (dice < 9) this.counts.cuts += proxy.cut(0.2, next);
    else this.counts.stalls += proxy.stall(0.2, next, random.int(200, 4000));
  }

  private async restartNow(isOver: () => boolean): Promise<void> {
    const { random, nodes } = this.options;
    for (;;) {
      await sleep(random.int(restartEveryMs.min, restartEveryMs.max));
      if (isOver()) return;
      const signal = random.pick(['SIGTERM', 'SIGKILL'] as const);
      this.counts[signal] += 1;
      await random.pick(nodes).restart(signal);
    }
  }

  private async breakTails(isOver: () => boolean): Promise<void> {
    const { random, cutTails } = this.options;
    if (cutTails === undefined) return;
    while (!isOver()) {
      this.counts.tails += await cutTails();
      await sleep(random.int(tailsEveryMs.min, tailsEveryMs.max));
    }
  }

  /** @returns false where the node that was asked did not do it: it may be going down. */
  private async command(method: string, path: string, body: object): Promise<boolean> {
    const { random, nodes } = this.options;
    const running = nodes.filter(({ isRunning }) => isRunning);
    if (running.length === 0) return false;
    try {
      const { status } = await admin(random.pick(running).url, method, path, { ...body, reason: 'heart' });
      return status === 200;
    } catch {
      return false;
    }
  }
}
