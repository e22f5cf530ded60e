/** Whatever happens in whatever order: one writer, nothing lost, nothing twice, and never stuck. */
import { expect, it } from 'vitest';
import { seededRandom, testRandom } from '../../support/random.ts';
import { World } from './model-gateway.ts';

const verdicts = ['window', 'backoff', 'negotiate', 'reauth', 'never'] as const;

it('hands every event over once, in order, whatever the gateway says and when', () => {
  const seeds = testRandom('sdk machine');
  const totals = { delivered: 0, repeats: 0, resets: 0, moves: 0, steps: 0 };
  for (let run = 0; run < 1500; run += 1) {
    const random = seededRandom(seeds.int(0, 2 ** 32 - 1));
    const world = new World(random);
    const canEmpty = random.chance(0.5);
    world.say({ type: 'start' });
    for (let turn = 0; turn < 150 && world.faults.length === 0; turn += 1) {
      const dice = random.int(0, 99);
      // In the middle of a hand-over is where it hurts.
      if (canEmpty && world.state.phase === 'moving' && random.chance(0.1)) world.empty();
      else if (dice < 20) world.publish();
      else if (dice < 58) world.talk();
      else if (dice < 72) world.decide(random.pick(['websocket', 'long-poll']));
      else if (dice < 75) world.refuse(random.pick(verdicts));
      else if (dice < 80) world.lose(random.pick(verdicts));
      else if (dice < 91) world.order(random.pick(['migrate', 'reconnect', 'due']));
      else if (dice < 95) world.ring();
      else if (dice < 96) world.say({ type: 'online' });
      else if (dice < 97) world.say({ type: 'stop' });
      else if (dice < 99) world.say({ type: 'start' });
      else if (canEmpty) world.empty();
    }
    world.heal();
    expect(world.faults, `seed ${random.seed} of run ${run}`).toEqual([]);
    for (const name of ['delivered', 'repeats', 'resets', 'moves', 'steps'] as const)
      totals[name] += world.counts[name];
  }
  console.log(`sdk machine: ${JSON.stringify(totals)}`);
  expect(totals.moves).toBeGreaterThan(100);
  expect(totals.repeats).toBeGreaterThan(100);
  expect(totals.resets).toBeGreaterThan(100);
});
