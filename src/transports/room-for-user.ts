/** How many streams one user may have. */
import type { LiveSession } from '../hub/sessions.ts';

/**
 * The oldest of a user's streams make room for the newest, which is not among them yet; those told to move don't count.
 * @param ofUser oldest first
 */
export function makeRoom(ofUser: Iterable<LiveSession>, maxPerUser: number): void {
  const counted = [...ofUser].filter((other) => other.transport === 'websocket' && !other.isMoving);
  const excess = counted.length + 1 - maxPerUser;
  for (const oldest of counted.slice(0, Math.max(0, excess))) oldest.end('too_many_connections');
}
