/**
 * The foreign company behind two Turnout nodes: its own backend and Redis, a Redis of Turnout's, and one address for its
 * clients. The fleet breaks what is Turnout's, never the company's: the old way would have noticed nothing.
 */
import { AcmeClient, AcmeReader, type Update } from './acme/client.ts';
import { type AcmeProfile, writeAcmeProfile } from './acme/profile.ts';
import { type Acme, startAcme } from './acme/server.ts';
import { type Gateway, type Settings, startGateway } from './node-process.ts';
import { admin, metric } from './publisher.ts';
import type { Random } from './random.ts';
import { freePort } from './ports.ts';
import { RedisServer } from './redis.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';
import { sleep, until } from './until.ts';

interface Node {
  readonly settings: Settings;
  /** Undefined: it is down. */
  gateway: Gateway | undefined;
}

export class AcmeFleet {
  readonly acme: Acme;
  /** Turnout's own. */
  readonly redis: RedisServer;
  readonly proxy: TcpProxy;
  readonly nodes: readonly Node[];
  private readonly company: RedisServer;
  private readonly profile: AcmeProfile;
  private loads: Promise<void>[] = [];
  private isLoading = false;

  private constructor(
    parts: Pick<AcmeFleet, 'acme' | 'redis' | 'proxy' | 'nodes'>,
    company: RedisServer,
    profile: AcmeProfile,
  ) {
    this.acme = parts.acme;
    this.redis = parts.redis;
    this.proxy = parts.proxy;
    this.nodes = parts.nodes;
    this.company = company;
    this.profile = profile;
  }

  static async start(): Promise<AcmeFleet> {
    const [company, redis] = await Promise.all([
      RedisServer.start(),
      RedisServer.start({ appendOnly: true }),
    ]);
    const acme = await startAcme({ redisUrl: company.url });
    const profile = await writeAcmeProfile({ url: acme.url, redisUrl: company.url });
    // Fixed, so that who was restarted is found where it was.
    const ports = [await freePort(), await freePort()];
    const nodes = ports.map((port, at): Node => {
      const settings = {
        ...profile.settings,
        TURNOUT_PORT: String(port),
        TURNOUT_NODE_ID: `node-${at}`,
        TURNOUT_REDIS_URL: redis.url,
        TURNOUT_LOG_LEVEL: 'info',
      };
      return { settings, gateway: undefined };
    });
    const proxy = await startProxy(...ports.map((port) => `http://127.0.0.1:${port}`));
    const fleet = new AcmeFleet({ acme, redis, proxy, nodes }, company, profile);
    await Promise.all(nodes.map((node) => fleet.startNode(node)));
    await fleet.untilBridged();
    return fleet;
  }

  async stop(): Promise<void> {
    await this.rest();
    await this.proxy.close();
    await Promise.all(this.nodes.map(async ({ gateway }) => gateway?.kill()));
    await this.acme.stop();
    await Promise.all([this.redis.stop(), this.company.stop(), this.profile.remove()]);
  }

  /** @param more settings of this run alone */
  async startNode(node: Node, more: Settings = {}): Promise<void> {
    node.gateway = await startGateway({ ...node.settings, ...more });
  }

  async endNode(node: Node, how: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { gateway } = node;
    await (how === 'SIGKILL' ? gateway?.kill() : gateway?.stop());
    node.gateway = undefined;
  }

  /** False where no node could be told just now. */
  async serve(percent: number): Promise<boolean> {
    for (const { gateway } of this.nodes) {
      const flag = { percent, reason: 'flap' };
      const answer =
        gateway && (await this.told(admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', flag)));
      if (answer?.status === 200) return true;
    }
    return false;
  }

  /** Of both nodes since their last start. */
  async polls(by: 'turnout' | 'upstream'): Promise<number> {
    let all = 0;
    for (const { gateway } of this.nodes)
      if (gateway !== undefined)
        all += await metric(gateway.url, 'legacy_requests_total', `route="/api/updates",answered_by="${by}"`);
    return all;
  }

  async untilBridged(): Promise<void> {
    await until(async () => {
      const urls = this.nodes.flatMap(({ gateway }) => gateway?.url ?? []);
      const leading = urls.map((url) => this.told(metric(url, 'turnout_bridge_fed')));
      return (await Promise.all(leading)).some((is) => is === 1);
    }, 'somebody who bridges');
  }

  /** A client that reads for as long as it is wanted. */
  async reader(user: string, tenant: string, timeoutS = 1): Promise<AcmeReader> {
    return new AcmeReader(await this.client(user, tenant), timeoutS);
  }

  /** One that is logged in. */
  async client(user: string, tenant: string): Promise<AcmeClient> {
    const client = new AcmeClient(this.proxy.url);
    const status = await client.login(user, tenant);
    if (status !== 200) throw new Error(`${user} logged in with ${status}`);
    return client;
  }

  /** The company writes to its own API, whatever becomes of Turnout, until `rest`. */
  async load(tenants: readonly string[], random: Random, pauseMs: number): Promise<void> {
    this.isLoading = true;
    for (const tenant of tenants) {
      const author = new AcmeClient(this.acme.url);
      await author.login('author', tenant);
      const write = async (): Promise<void> => {
        for (let n = 1; this.isLoading; n += 1) {
          await author.create('note', { n, text: 'x'.repeat(random.int(1, 200)) });
          if (random.chance(0.2)) continue;
          await sleep(random.int(1, 2 * pauseMs));
        }
      };
      this.loads.push(write());
    }
  }

  async rest(): Promise<void> {
    this.isLoading = false;
    await Promise.all(this.loads.splice(0));
  }

  /** What the company keeps for a tenant, as its clients should have been given it. */
  async published(tenant: string): Promise<Update[]> {
    const rows = await this.company.client.lrange(`acme:updates:${tenant}`, 0, -1);
    return rows.map((row, at) => ({ id: at + 1, ...(JSON.parse(row) as Omit<Update, 'id'>) }));
  }

  private async told<T>(asked: Promise<T>): Promise<T | undefined> {
    return asked.catch(() => undefined);
  }
}
