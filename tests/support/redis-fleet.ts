/** Several Redis servers as one: a Cluster of three masters with a replica each, and a master that three Sentinels watch. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Cluster } from 'ioredis';
import { ensureCommand } from './debian.ts';
import { RedisServer } from './redis.ts';
import { until } from './until.ts';

const run = promisify(execFile);

export class RedisCluster {
  readonly servers: readonly RedisServer[];
  readonly url: string;
  readonly client: Cluster;

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
    const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(',');
    this.url = `redis+cluster://${hosts}`;
    this.client = new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })));
    this.client.on('error', () => undefined);
  }

  static async start(): Promise<RedisCluster> {
    const servers: RedisServer[] = [];
    for (let index = 0; index < 6; index += 1)
      servers.push(
        await RedisServer.start({ config: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'] }),
      );
    const cli = await ensureCommand('redis-cli', 'redis-tools');
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    await run(cli, ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']);
    for (const { client, port } of servers)
      await until(
        async () => /cluster_state:ok/.test(await client.cluster('INFO')),
        `the Cluster to be whole on port ${port}`,
      );
    return new RedisCluster(servers);
  }

  async flush(): Promise<void> {
    await Promise.all(this.client.nodes('master').map((node) => node.flushall()));
  }

  /** The server that is master of `key`'s slot now. */
  async masterOf(key: string): Promise<RedisServer> {
    const [first] = this.servers;
    if (first === undefined) throw new Error('the Cluster has no servers');
    const slot = await first.client.cluster('KEYSLOT', key);
    for (const server of this.servers) {
      const nodes = await server.client.cluster('NODES').catch(() => '');
      const mine = /^.*\bmyself,master\b.*$/m.exec(String(nodes))?.[0] ?? '';
      for (const [, from = '', to = from] of mine.matchAll(/ (\d+)(?:-(\d+))?(?= |$)/g))
        if (Number(from) <= slot && slot <= Number(to) && mine.includes('connected')) return server;
    }
    throw new Error(`no master serves slot ${slot}`);
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

export class RedisSentinels {
  readonly url: string;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  private readonly sentinels: readonly RedisServer[];
  private readonly folder: string;

  private constructor(
    master: RedisServer,
    replica: RedisServer,
    sentinels: readonly RedisServer[],
    folder: string,
  ) {
    this.master = master;
    this.replica = replica;
    this.sentinels = sentinels;
    this.folder = folder;
    this.url = `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`;
  }

  static async start(): Promise<RedisSentinels> {
    const master = await RedisServer.start();
    const replica = await RedisServer.start({ replicaOf: master });
    const folder = await mkdtemp(join(tmpdir(), 'turnout-sentinels-'));
    const sentinels: RedisServer[] = [];
    for (let index = 0; index < 3; index += 1) {
      const file = join(folder, `sentinel-${index}.conf`);
      await writeFile(
        file,
        [
          `sentinel monitor main 127.0.0.1 ${master.port} 2`,
          'sentinel down-after-milliseconds main 1000',
          'sentinel failover-timeout main 5000',
          '',
        ].join('\n'),
      );
      sentinels.push(await RedisServer.start({ sentinelFile: file }));
    }
    const fleet = new RedisSentinels(master, replica, sentinels, folder);
    for (const { client } of sentinels)
      await until(async () => {
        const [state] = (await client.call('SENTINEL', ['MASTERS'])) as string[][];
        const text = (state ?? []).join(' ');
        return text.includes('num-slaves 1') && text.includes('num-other-sentinels 2');
      }, 'the Sentinels to know each other and the replica');
    return fleet;
  }

  /** The server that the Sentinels name as master now. */
  async current(): Promise<RedisServer> {
    const [sentinel] = this.sentinels;
    const answer = (await sentinel?.client.call('SENTINEL', ['GET-MASTER-ADDR-BY-NAME', 'main'])) as string[];
    return Number(answer[1]) === this.replica.port ? this.replica : this.master;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, this.replica, this.master].map((server) => server.stop()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
