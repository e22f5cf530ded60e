/** What the client takes from where it runs, so that browsers, Node and tests can each give their own. */

/** Releases a timer or a listener; calling it twice is harmless. */
export type Cancel = () => void;

export interface ClientClock {
  /** Milliseconds, for measuring spans. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** A random id: printable, without spaces. */
  id(): string;
  after(ms: number, run: () => void): Cancel;
}

/** What sockets say, each with as much of its event as the client reads. */
interface SocketListeners {
  readonly open: () => void;
  readonly message: (event: { readonly data: unknown }) => void;
  readonly close: (event: { readonly code: number; readonly reason: string }) => void;
  readonly error: () => void;
}

/** As much of a WebSocket as the client uses: the browser's and that of `ws` both have it. */
export interface WebSocketLike {
  addEventListener<K extends keyof SocketListeners>(type: K, listener: SocketListeners[K]): void;
  removeEventListener<K extends keyof SocketListeners>(type: K, listener: SocketListeners[K]): void;
  send(text: string): void;
  close(code?: number): void;
}
export type WebSocketMaker = new (url: string) => WebSocketLike;

/** Where `online` is heard: the browser's window. */
export interface NetworkEvents {
  addEventListener(type: 'online', listener: () => void): void;
  removeEventListener(type: 'online', listener: () => void): void;
}

export interface Environment {
  readonly clock: ClientClock;
  readonly fetch: typeof fetch;
  /** Absent in Node 20 where none was injected: such a client is served by long-poll. */
  readonly WebSocket: WebSocketMaker | undefined;
  readonly network: NetworkEvents | undefined;
}

export const systemClock: ClientClock = {
  now: () => performance.now(),
  random: () => Math.random(),
  id: () => randomId(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** `randomUUID` is missing on pages without https. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function environmentOf(given: {
  readonly clock?: ClientClock | undefined;
  readonly fetch?: typeof fetch | undefined;
  readonly WebSocket?: unknown;
  readonly network?: NetworkEvents | undefined;
}): Environment {
  const scope = globalThis as { WebSocket?: unknown } & Partial<NetworkEvents>;
  // Any WebSocket of a browser's shape will do; types of different makers don't match to the letter.
  const socket = (given.WebSocket ?? scope.WebSocket) as WebSocketMaker | undefined;
  const hasNetwork = typeof scope.addEventListener === 'function';
  return {
    clock: given.clock ?? systemClock,
    // Unbound, a browser's fetch refuses to be called.
    fetch: given.fetch ?? ((...args) => globalThis.fetch(...args)),
    WebSocket: socket,
    network: given.network ?? (hasNetwork ? (scope as NetworkEvents) : undefined),
  };
}
