/**
 * Broken code that the suite must catch: each row takes one guard away and names the test that goes red. A row whose
 * text no longer stands in its file, exactly once, fails: a guard that moved must be followed here.
 */
export interface Mutation {
  readonly name: string;
  /** From the root. */
  readonly file: string;
  /** Exact text, found once in the file. */
  readonly find: string;
  readonly replace: string;
  /** File filter, as vitest takes it. */
  readonly test: string;
  /** Text that the full name of the red test contains. */
  readonly expectRed: string;
}

export const mutations: readonly Mutation[] = [
  {
    name: 'the generator overwrites what is frozen',
    file: 'schema/generate.ts',
    find: "if (problems.length > 0) throw new Error(problems.join('\\n'));",
    replace: '',
    test: 'tests/contract/schema-lock',
    expectRed: 'writes nothing when a frozen file would change',
  },
];
