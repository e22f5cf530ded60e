/**
 * Who takes a place on this node: of an address each socket until it ends or is refused, of the node the streams whose user
 * is known. Sockets that are not known yet have a bound of their own: strangers can't keep users out.
 */
import { fail } from '../errors.ts';

export interface SeatBounds {
  readonly maxConnections: number;
  readonly maxPerAddress: number;
}

export class Seats {
  private readonly byAddress = new Map<string, number>();
  private unknown = 0;
  private known = 0;

  constructor(private readonly bounds: SeatBounds) {}

  /** True where this address has all that it may. @param address undefined where limits by address are off */
  isFullFor(address: string | undefined): boolean {
    return (this.byAddress.get(address ?? '') ?? 0) >= this.bounds.maxPerAddress;
  }

  take(address: string | undefined): Seat {
    const count = (by: 1 | -1): void => {
      if (address === undefined) return;
      const open = (this.byAddress.get(address) ?? 0) + by;
      if (open > 0) this.byAddress.set(address, open);
      else this.byAddress.delete(address);
    };
    count(1);
    this.unknown += 1;
    let state: 'unknown' | 'known' | 'left' = 'unknown';
    const leave = (): void => {
      if (state === 'left') return;
      this[state] -= 1;
      state = 'left';
      count(-1);
    };
    return {
      leave,
      mayAsk: () => {
        if (this.unknown > this.bounds.maxConnections || this.known >= this.bounds.maxConnections)
          throw fail('overloaded');
      },
      know: () => {
        if (state !== 'unknown') return;
        if (this.known >= this.bounds.maxConnections) throw fail('overloaded');
        this.unknown -= 1;
        this.known += 1;
        state = 'known';
      },
    };
  }
}

export interface Seat {
  /** The user is known: the stream counts. @throws overloaded */
  know(): void;
  /** @throws overloaded where no room is left for another user, or too many are being asked for */
  mayAsk(): void;
  /** It counts no more; harmless twice. */
  leave(): void;
}
