/** Randomness that can be had again: every random test prints its seed and takes it back from TURNOUT_TEST_SEED. */

export interface Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** A whole number in [min, max]. */
  int(min: number, max: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** A random subset of at least one, in the order given. */
  some<T>(from: readonly T[]): T[];
}

/** mulberry32: small, and good enough to shuffle a test. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  const pick = <T>(from: readonly T[]): T => {
    const picked = from[int(0, from.length - 1)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  };
  return {
    seed,
    next,
    int,
    chance: (probability) => next() < probability,
    pick,
    some: (from) => {
      const chosen = from.filter(() => next() < 0.5);
      return chosen.length > 0 ? chosen : [pick(from)];
    },
  };
}

/** A random source for the named test, its seed printed. */
export function testRandom(test: string): Random {
  const given = process.env['TURNOUT_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  console.log(`${test}: seed ${seed} (TURNOUT_TEST_SEED=${seed} repeats it)`);
  return seededRandom(seed);
}
