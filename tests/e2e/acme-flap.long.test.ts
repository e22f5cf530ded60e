/** As acme-flap, longer, with seeds of its own. */
import { it } from 'vitest';
import { expectAll, flap } from '../support/acme-flap.ts';
import { seededRandom, testRandom } from '../support/random.ts';

const runs = 3;
const testMs = 300_000;

it(
  'gives each of 100 old clients every update once, in its order, run after run',
  async () => {
    const random = testRandom('acme flap, long');
    for (let run = 1; run <= runs; run += 1) {
      const seed = random.int(0, 2 ** 32 - 1);
      console.log(`run ${run}: seed ${seed}`);
      expectAll(await flap(seededRandom(seed), { tenants: 10, clients: 100, steps: 20 }));
    }
  },
  testMs,
);
