/**
 * Counts the bytes that clients make this node hold: answers that they don't read, requests sent before the last one was
 * answered, frames that wait for their turn. Past a bound it cuts the connection that has held bytes for longest.
 */

/** What is held: unread answers, requests that wait for the answer before theirs, frames of streams that wait. */
export type HeldKind = 'answers' | 'requests' | 'frames';

/** Why a connection was cut: it didn't read, sent too many requests ahead, or its node, address or user held too much. */
export type CutCause = 'stalled' | 'pipelined' | 'node' | 'address' | 'user';

export interface InFlightBounds {
  /** Bytes of all connections together. */
  readonly node: number;
  /** Bytes of the connections of one address; loopback has none. */
  readonly address: number;
  /** Bytes of the connections of one user, where the user is known. */
  readonly user: number;
}

export class BytesInFlight {
  /** Held now, by kind; bytes that several connections wait for count for each. */
  readonly held: Record<HeldKind, number> = { answers: 0, requests: 0, frames: 0 };
  /** Connections cut since the start, by cause. */
  readonly cuts: Record<CutCause, number> = { stalled: 0, pipelined: 0, node: 0, address: 0, user: 0 };
  private readonly node = new Scope();
  private readonly scopes = { address: new Map<string, Scope>(), user: new Map<string, Scope>() };

  constructor(private readonly bounds: InFlightBounds) {}

  /**
   * Returns the account of a connection.
   * @param address undefined where limits by address are off
   * @param end ends the connection; called at most once
   */
  holder(address: string | undefined, end: () => void): Holder {
    return new Holder(this, address, end);
  }

  /** Counts more bytes of `holder`, or fewer where `bytes` is negative, and cuts those that are too much. */
  change(holder: Holder, kind: HeldKind, bytes: number, buffer: object | undefined): void {
    this.held[kind] += bytes;
    if (holder.address !== undefined) this.changeIn('address', holder.address, holder, bytes, buffer);
    if (holder.user !== undefined) this.changeIn('user', holder.user, holder, bytes, buffer);
    this.node.change(holder, bytes, buffer);
    this.node.cutDownTo(this.bounds.node, 'node');
  }

  private changeIn(
    name: 'address' | 'user',
    key: string,
    holder: Holder,
    bytes: number,
    buffer: object | undefined,
  ): void {
    const known = this.scopes[name];
    const scope = known.get(key) ?? new Scope();
    known.set(key, scope);
    scope.change(holder, bytes, buffer);
    scope.cutDownTo(this.bounds[name], name);
    if (scope.isEmpty && known.get(key) === scope) known.delete(key);
  }
}

/** The connections that share a bound. */
class Scope {
  private bytes = 0;
  /** In the order in which they began to hold bytes. */
  private readonly holders = new Set<Holder>();
  /** How many connections wait for a buffer, which is held once however many do. */
  private readonly waitedFor = new Map<object, number>();

  get isEmpty(): boolean {
    return this.holders.size === 0;
  }

  change(holder: Holder, bytes: number, buffer: object | undefined): void {
    this.bytes += buffer === undefined ? bytes : this.once(bytes, buffer);
    if (holder.bytes > 0) this.holders.add(holder);
    else this.holders.delete(holder);
  }

  cutDownTo(maxBytes: number, cause: CutCause): void {
    while (this.bytes > maxBytes) {
      const [oldest] = this.holders;
      if (oldest === undefined) return;
      oldest.cut(cause);
    }
  }

  private once(bytes: number, buffer: object): number {
    const before = this.waitedFor.get(buffer) ?? 0;
    const after = before + Math.sign(bytes);
    if (after > 0) this.waitedFor.set(buffer, after);
    else this.waitedFor.delete(buffer);
    return before === 0 || after === 0 ? bytes : 0;
  }
}

/** What one connection makes the node hold. */
export class Holder {
  /** All kinds together. */
  bytes = 0;
  /** `org/sub`, once it is known. */
  user: string | undefined;
  private isOver = false;
  private readonly holdings: { [K in HeldKind]?: { bytes: number; buffer: object | undefined } } = {};

  constructor(
    private readonly all: BytesInFlight,
    readonly address: string | undefined,
    private readonly end: () => void,
  ) {}

  /** Says whose connection it is, `org/sub`: what it holds counts for that user. */
  belongsTo(user: string): void {
    if (this.user === user) return;
    const held = Object.entries(this.holdings);
    this.clear();
    this.user = user;
    for (const [kind, { bytes, buffer }] of held) this.set(kind as HeldKind, bytes, buffer);
  }

  /** Sets what is held of this kind. @param buffer the bytes themselves, where other connections may wait for them too */
  set(kind: HeldKind, bytes: number, buffer?: object): void {
    if (this.isOver) return;
    const before = this.holdings[kind];
    if (before !== undefined) {
      delete this.holdings[kind];
      this.bytes -= before.bytes;
      this.all.change(this, kind, -before.bytes, before.buffer);
    }
    if (bytes === 0) return;
    this.holdings[kind] = { bytes, buffer };
    this.bytes += bytes;
    this.all.change(this, kind, bytes, buffer);
  }

  /** Lets go of everything, and ends the connection. */
  cut(cause: CutCause): void {
    if (this.isOver) return;
    this.close();
    this.all.cuts[cause] += 1;
    this.end();
  }

  /** Lets go of everything: the connection has ended. */
  close(): void {
    this.clear();
    this.isOver = true;
  }

  private clear(): void {
    this.set('answers', 0);
    this.set('requests', 0);
    this.set('frames', 0);
  }
}
