/** What a row of the table of mutations says. */
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
