/**
 * Plain counters of what this node carries, written on the hot paths and read when somebody asks for metrics. A number
 * here costs an addition; a labelled counter of a metrics library costs a look-up for each client and event.
 */

/** The label `event` of `ws_frames_sent_total`. */
export type FrameClass = 'assistant_message' | 'typing' | 'error' | 'other';

export class Traffic {
  /** Open streams, counted from the upgrade on. */
  activeStreams = 0;
  acceptedStreams = 0;
  pollsHeld = 0;
  /** Events given to a client, per client. */
  delivered = { websocket: 0, 'long-poll': 0 };
  /** Of those, events that were appended before the client came (back). */
  replayed = { websocket: 0, 'long-poll': 0 };
  compressedFrames = 0;
  frames: Record<FrameClass, number> = { assistant_message: 0, typing: 0, error: 0, other: 0 };
}

const classes: ReadonlyMap<string, FrameClass> = new Map([
  ['assistant_message', 'assistant_message'],
  ['typing', 'typing'],
  ['chat_status', 'typing'],
  ['error', 'error'],
]);

export const frameClass = (eventType: string): FrameClass => classes.get(eventType) ?? 'other';
