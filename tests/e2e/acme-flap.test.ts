/** Old clients while everything of Turnout's comes and goes: who answers them, its nodes, its bridge, its Redis. */
import { it } from 'vitest';
import { expectAll, flap } from '../support/acme-flap.ts';
import { testRandom } from '../support/random.ts';

it('gives each of 100 old clients every update once, in its order, whoever answers and whatever restarts', async () => {
  expectAll(await flap(testRandom('acme flap'), { tenants: 5, clients: 100, steps: 7 }));
});
