/** A user as flags and lists know one. */

export interface User {
  readonly org: string;
  readonly sub: string;
}

/** `org/sub`: what stickiness hashes. Neither part may hold a slash, so no two users share one. */
export const userId = (user: User): string => `${user.org}/${user.sub}`;
