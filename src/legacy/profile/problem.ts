/** One thing that is wrong with a profile, or that its author should know: where it stands, and the cure. Names no value. */

/** Names and indexes, from the top. */
export type ProfilePath = readonly (string | number)[];

export interface ProfileProblem {
  /** With an error no node starts. */
  readonly level: 'error' | 'warning';
  readonly path: ProfilePath;
  readonly message: string;
}

const problem =
  (level: ProfileProblem['level']) =>
  (path: ProfilePath, message: string): ProfileProblem => ({ level, path, message });

export const fault = problem('error');
export const warn = problem('warning');

/** `; did you mean x?` for the closest candidate within a third of its letters; nothing where none is that close. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const given = word.slice(0, 64).toLowerCase();
  const [meant] = candidates
    .map((candidate) => ({ candidate, far: distance(given, candidate.toLowerCase()) }))
    .filter(({ candidate, far }) => far <= Math.ceil(candidate.length / 3))
    .toSorted((a, b) => a.far - b.far);
  return meant === undefined ? '' : `; did you mean ${meant.candidate}?`;
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of Array.from(a).entries()) {
    const next = [i + 1];
    for (const [j, other] of Array.from(b).entries()) {
      const [left = 0, above = 0, corner = 0] = [next[j], row[j + 1], row[j]];
      next.push(Math.min(left + 1, above + 1, corner + Number(letter !== other)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
