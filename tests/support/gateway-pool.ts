/** Gateways that tests running side by side take in turn, so that not each has to start one. */
import { type Gateway, type Settings, startGateway } from './node-process.ts';

export class GatewayPool {
  private readonly all: readonly Gateway[];
  private readonly free: Gateway[];
  private readonly waiting: ((gateway: Gateway) => void)[] = [];

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
    return this.free.shift() ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  give(gateway: Gateway): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(gateway);
    else next(gateway);
  }

  async kill(): Promise<void> {
    await Promise.all(this.all.map((gateway) => gateway.kill()));
  }
}
