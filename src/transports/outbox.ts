/**
 * The one ordered way out of a stream: every frame, of events or control, is written to the socket here and nowhere else.
 * Keeps no queue of its own: when the socket is full its reader waits at its cursor.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { ResetReason } from '../../schema/frames.ts';
import type { Part } from '../hub/chunk.ts';
import type { Sink } from '../hub/reader.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type FrameClass, frameClass, type Traffic } from '../metrics/traffic.ts';
import { frames } from './frames.ts';

/** The stream that an outbox belongs to. */
interface Owner {
  onDrain(): void;
  /** Ends it for a fault of ours. */
  fail(fault: unknown): void;
}

export class Outbox implements Sink {
  /** How often the socket has emptied itself after it was full: the peer reads. */
  drains = 0;
  private readonly highWaterBytes: number;
  private isClosed = false;
  private replayUpToSeq = 0;

  constructor(
    private readonly ws: WebSocket,
    private readonly socket: Duplex,
    private readonly traffic: Traffic,
    private readonly owner: Owner,
  ) {
    this.highWaterBytes = socket.writableHighWaterMark;
    socket.on('drain', () => {
      this.drains += 1;
      if (this.isOpen) owner.onDrain();
    });
  }

  /** False while more than the socket's high-water mark waits in this process: a `drain` will follow. */
  get hasRoom(): boolean {
    return this.isOpen && this.socket.writableLength < this.highWaterBytes;
  }

  /** Events up to this seq were appended before the client came: they count as replayed. */
  replayUpTo(seq: number): void {
    this.replayUpToSeq = seq;
  }

  control(frame: Buffer, kind: FrameClass = 'other'): void {
    if (!this.isOpen) return;
    this.traffic.frames[kind] += 1;
    this.socket.write(frame);
  }

  reset(reason: ResetReason, head: Position): void {
    this.control(frames.reset(reason, head));
  }

  /** What is not stored counts by event and type, like what is: typing is seldom anything else. */
  ephemeral(events: readonly EphemeralEvent[]): void {
    if (!this.isOpen) return;
    for (const frame of frames.ephemeral(events)) this.socket.write(frame);
    for (const { type } of events) this.traffic.frames[frameClass(type)] += 1;
  }

  fail(fault: unknown): void {
    this.owner.fail(fault);
  }

  deliver(parts: readonly Part[]): void {
    if (!this.isOpen) return;
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      this.socket.write(only.bytes);
      this.count(only);
      return;
    }
    this.socket.cork();
    for (const part of parts) {
      this.socket.write(part.bytes);
      this.count(part);
    }
    this.socket.uncork();
  }

  /** Nothing is written any more. */
  close(): void {
    this.isClosed = true;
  }

  /** After a close frame, ours or the peer's, nothing may follow. */
  private get isOpen(): boolean {
    return !this.isClosed && this.ws.readyState === this.ws.OPEN;
  }

  private count(part: Part): void {
    const { frames: sent, delivered, replayed } = this.traffic;
    delivered.websocket += part.entries.length;
    this.traffic.compressedFrames += part.compressedFrames;
    sent.assistant_message += part.tally.assistant_message;
    sent.typing += part.tally.typing;
    sent.error += part.tally.error;
    sent.other += part.tally.other;
    const first = part.entries[0];
    if (first === undefined || first.seq > this.replayUpToSeq) return;
    for (const entry of part.entries) if (entry.seq <= this.replayUpToSeq) replayed.websocket += 1;
  }
}
