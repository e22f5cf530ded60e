/** Gateways that tests running side by side take in turn, so that not each has to start one. */
import { type Gateway, type Settings, startGateway } from './node-process.ts';
import { until } from './until.ts';

export class GatewayPool {
  private readonly all: readonly Gateway[];
  private readonly free: Gateway[];

  private constructor(gateways: readonly Gateway[]) {
    this.all = gateways;
    this.free = [...gateways];
  }

  /** Starts one with each of these settings, all at once. */
  static async start(settings: readonly Settings[]): Promise<GatewayPool> {
    return new GatewayPool(await Promise.all(settings.map((one) => startGateway(one))));
  }

  /** Waits for one that nobody has. Whoever takes it gives it back; its state is as the last one left it. */
  async take(): Promise<Gateway> {
    let taken: Gateway | undefined;
    await until(
      () => {
        taken = this.free.shift();
        return taken !== undefined;
      },
      'a gateway that no test has',
      100_000,
    );
    if (taken === undefined) throw new Error('a fact that held does not');
    return taken;
  }

  give(gateway: Gateway): void {
    this.free.push(gateway);
  }

  async kill(): Promise<void> {
    await Promise.all(this.all.map((gateway) => gateway.kill()));
  }
}
