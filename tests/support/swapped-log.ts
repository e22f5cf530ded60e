/** A log that becomes another one when a test says so, as a Redis does that comes back empty or rewound. */
import type { EventLog } from '../../src/log/event-log.ts';

/**
 * @param current which log answers now
 * @param more what is otherwise than that: a read that is held up, a tail that the test itself speaks through
 */
export const swappedLog = (current: () => EventLog, more: Partial<EventLog>): EventLog => ({
  append: (...call) => current().append(...call),
  publishEphemeral: (...call) => current().publishEphemeral(...call),
  read: (...call) => current().read(...call),
  tail: (...call) => current().tail(...call),
  health: () => current().health(),
  close: async () => undefined,
  ...more,
});
