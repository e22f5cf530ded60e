/** What a tail says while its feed reads the log: kept in order up to a bound, past which only reading again will do. */
import type { TailMessage } from '../log/event-log.ts';

const maxBytes = 4 * 1024 * 1024;

export class HeldBack {
  private messages: TailMessage[] = [];
  private bytes = 0;
  private hasDropped = false;

  add(message: TailMessage): void {
    this.bytes += bytesOf(message);
    this.messages.push(message);
    if (this.bytes <= maxBytes) return;
    this.messages = [];
    this.bytes = 0;
    this.hasDropped = true;
  }

  /** All of it, which is then forgotten; undefined where something was dropped: the log must be read again. */
  take(): TailMessage[] | undefined {
    const { messages, hasDropped } = this;
    this.messages = [];
    this.bytes = 0;
    this.hasDropped = false;
    return hasDropped ? undefined : messages;
  }
}

function bytesOf(message: TailMessage): number {
  switch (message.kind) {
    case 'appended':
      return message.entries.reduce((sum, entry) => sum + entry.json.length, 0);
    case 'ephemeral':
      return message.events.reduce((sum, event) => sum + event.json.length, 0);
    case 'interrupted':
      return 0;
  }
}
