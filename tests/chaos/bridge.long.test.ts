/** The storm of bridge.test.ts, longer and with a Redis that freezes and restarts, too. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { bridgeNames, BridgeFleet, type NodeId, nodeIds } from '../support/bridge-fleet.ts';
import {
  expectChannelWhole,
  expectOnePollAtATime,
  expectPollsWhole,
  expectStreamsWhole,
} from '../support/bridge-judge.ts';
import { testRandom } from '../support/random.ts';
import { sleep } from '../support/until.ts';

const rounds = 25;

describe('bridges of two nodes under load, for long', () => {
  let fleet: BridgeFleet;
  beforeAll(async () => {
    fleet = await BridgeFleet.start();
  });
  afterAll(() => fleet.stop());

  it('keeps every id of each source once, in its order, whatever is killed, frozen or restarted', async () => {
    const random = testRandom('long bridge storm');
    const killed = async (victims: readonly NodeId[]): Promise<void> => {
      for (const nodeId of victims) await fleet.killNode(nodeId);
      await sleep(random.int(0, 3500));
      await Promise.all(victims.map((nodeId) => fleet.startNode(nodeId)));
    };
    const faults: Readonly<Record<string, () => Promise<void>>> = {
      leader: async () => killed([await fleet.leaderOf(random.pick(bridgeNames))]),
      both: () => killed(nodeIds),
      drained: async () => {
        const nodeId = await fleet.leaderOf(random.pick(bridgeNames));
        await fleet.nodes.get(nodeId)?.stop();
        await fleet.startNode(nodeId);
      },
      frozen: async () => {
        fleet.redis.freeze();
        await sleep(random.int(200, 1500));
        fleet.redis.thaw();
      },
      restarted: () => fleet.redis.restart(),
    };
    const tally: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      fleet.load(random);
      await sleep(random.int(50, 600));
      const [name, strike] = random.pick(Object.entries(faults));
      tally.push(name);
      await strike();
      await fleet.untilLed();
      await sleep(random.int(0, 400));
      await fleet.rest();
    }
    await fleet.untilBridged();
    const streamed = await expectStreamsWhole(fleet);
    const polled = await expectPollsWhole(fleet);
    const { heard, lost } = await expectChannelWhole(fleet);
    console.log(
      `${tally.join(' ')}: streams ${streamed}, polls ${polled}, channel ${heard} heard, ${lost} lost`,
    );
    expectOnePollAtATime(fleet);
  }, 600_000);
});
