/** Two nodes bridge three sources, and are killed, paused and restarted under load: what reaches the log is what was there. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import {
  bridgeNames,
  BridgeFleet,
  channelOrg,
  type NodeId,
  nodeIds,
  pollOrgs,
  streamOrgs,
} from '../support/bridge-fleet.ts';
import {
  expectChannelInOrder,
  expectChannelWhole,
  expectOnePollAtATime,
  expectPollsWhole,
  expectStreamsWhole,
} from '../support/bridge-judge.ts';
import { testRandom } from '../support/random.ts';
import { sleep, until } from '../support/until.ts';

const otherThan = (nodeId: NodeId): NodeId => nodeIds.find((one) => one !== nodeId) ?? nodeId;

describe('bridges of two nodes under load', () => {
  let fleet: BridgeFleet;
  beforeAll(async () => {
    fleet = await BridgeFleet.start();
  });
  afterAll(() => fleet.stop());

  it('keeps every id of each source once, in its order, while nodes are killed with -9 at random', async () => {
    const random = testRandom('bridge storm');
    fleet.load(random);
    await sleep(random.int(200, 600));
    const victim = await fleet.leaderOf(random.pick(bridgeNames));
    for (const nodeId of [victim, otherThan(victim)]) {
      await fleet.killNode(nodeId);
      await sleep(random.int(0, 300));
      await fleet.startNode(nodeId);
      await fleet.untilLed();
      await sleep(random.int(100, 400));
    }
    await fleet.rest();
    await fleet.untilBridged();
    const streamed = await expectStreamsWhole(fleet);
    const polled = await expectPollsWhole(fleet);
    const { heard, lost } = await expectChannelWhole(fleet);
    console.log(`streams ${streamed}, polls ${polled}, channel ${heard} heard of which ${lost} at the kills`);
    expectOnePollAtATime(fleet);
  });

  it('appends nothing after a pause in which the other node has gone on', async () => {
    const random = testRandom('bridge pause');
    const paused = await fleet.leaderOf('channel');
    // Nothing is under way in it, the probe neither: it wakes to a socket full of messages, and all of them could go to the
    // log at once.
    await fleet.untilBridged();
    fleet.nodes.get(paused)?.signal('SIGSTOP');
    fleet.load(random);
    const other = otherThan(paused);
    await until(async () => {
      const leaders = await fleet.leaders();
      return bridgeNames.every((name) => leaders.get(name)?.[0] === other);
    }, 'the other node leads');
    const past = fleet.published.length;
    await until(async () => {
      const kept = new Set(await fleet.ids(channelOrg));
      return fleet.published.slice(past).some(({ id }) => kept.has(id));
    }, 'the other node has gone on');
    fleet.nodes.get(paused)?.signal('SIGCONT');
    await fleet.untilLed();
    await fleet.rest();
    await fleet.untilBridged();
    await expectStreamsWhole(fleet);
    await expectPollsWhole(fleet);
    await expectChannelInOrder(fleet);
  });

  it('repeats nothing when it goes on from an older place than the log knows ids for', async () => {
    await Promise.all(nodeIds.map((nodeId) => fleet.killNode(nodeId)));
    const { client } = fleet.redis;
    // Nobody waits for what the killed would have held a little longer.
    await client.del(bridgeNames.map((name) => `turnout:{!bridge-${name}}:lease`));
    // A crash between append and checkpoint, and a restart past the idempotency window.
    for (const org of streamOrgs) {
      const before = (await fleet.streamed(org)).at(-90) ?? '0-0';
      await client.hset('turnout:{!bridge-streams}:checkpoints', `old-stream:${org}`, before);
    }
    const polls = 'turnout:{!bridge-polls}:checkpoints';
    for (const [lane, position] of Object.entries(await client.hgetall(polls)))
      await client.hset(polls, lane, Math.max(0, Number(position) - 90));
    for (const org of [...streamOrgs, ...pollOrgs])
      await client.del(`turnout:{${org}}:ids:0`, `turnout:{${org}}:ids:1`);
    await fleet.startNode('node-a');
    await fleet.untilLed();
    for (const org of streamOrgs) await fleet.stream(org, 3);
    for (const org of pollOrgs) fleet.api.add(org, { text: 'the newest' });
    await fleet.publish('the newest');
    await fleet.untilBridged();
    await expectStreamsWhole(fleet);
    await expectPollsWhole(fleet);
  });
});
