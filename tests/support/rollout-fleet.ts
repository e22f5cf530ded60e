/** The rollout of several nodes in one process, over a Redis of their own: a fixture, so that tests may run side by side. */
import { test } from 'vitest';
import { RedisServer } from './redis.ts';
import { openRolloutNode, type RolloutNode } from './rollout-node.ts';

export class RolloutFleet {
  readonly redis: RedisServer;
  /** Those that are closed in the end. */
  readonly nodes: RolloutNode[] = [];

  constructor(redis: RedisServer) {
    this.redis = redis;
  }

  async open(nodeId: string, settings: Readonly<Record<string, string>>): Promise<RolloutNode> {
    const node = await openRolloutNode(nodeId, this.redis.port, settings);
    this.nodes.push(node);
    return node;
  }

  async pair(settings: Readonly<Record<string, string>>): Promise<[RolloutNode, RolloutNode]> {
    // One after the other: which of them writes the first rules is part of what a test knows.
    const first = await this.open('node-a', settings);
    return [first, await this.open('node-b', settings)];
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.redis.stop();
  }
}

/** `it` of a test that is given a fleet without nodes. @param isKept its Redis has every acknowledged write on disk */
export const itWithFleet = (isKept: boolean) =>
  test.extend('fleet', async ({ onTestFinished }) => {
    const fleet = new RolloutFleet(await RedisServer.start({ appendOnly: isKept }));
    onTestFinished(() => fleet.close());
    return fleet;
  });
