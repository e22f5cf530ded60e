/** What one client did since it was made: counted, never reset. */
export interface Stats {
  /** Events handed to the application. */
  delivered: number;
  /** Dropped at the wire: two transports were open. */
  repeats: number;
  /** Dropped by the application key: no fault of the delivery. */
  applicationRepeats: number;
  resets: number;
  negotiations: number;
  /** Hand-overs that were completed. `same`: to another connection of the same transport. */
  readonly moves: { up: number; down: number; same: number };
  /** Waits before connecting again. */
  reconnects: number;
  readonly opened: { websocket: number; 'long-poll': number };
  /** How connections ended that the client didn't close itself, by code. */
  readonly closes: Record<string, number>;
  /** Problems that `onError` itself failed on. */
  unreported: number;
}

export const emptyStats = (): Stats => ({
  delivered: 0,
  repeats: 0,
  applicationRepeats: 0,
  resets: 0,
  negotiations: 0,
  moves: { up: 0, down: 0, same: 0 },
  reconnects: 0,
  opened: { websocket: 0, 'long-poll': 0 },
  closes: {},
  unreported: 0,
});
