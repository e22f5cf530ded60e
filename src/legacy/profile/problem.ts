/** One thing that is wrong with a profile, or that its author should know: where it stands, and the cure. Names no value. */

/** Names and indexes, from the top. */
export type ProfilePath = readonly (string | number)[];

export interface ProfileProblem {
  /** With an error no node starts. */
  readonly level: 'error' | 'warning';
  readonly path: ProfilePath;
  readonly message: string;
}

export const fault = (path: ProfilePath, message: string): ProfileProblem => ({
  level: 'error',
  path,
  message,
});

export const warn = (path: ProfilePath, message: string): ProfileProblem => ({
  level: 'warning',
  path,
  message,
});
