/**
 * Hostile connections that make a node hold bytes: each kind keeps its number of connections up, comes back when it is cut,
 * and never reads. Bounded in count and time, on loopback.
 */
import { connect, type Socket } from 'node:net';
import { upgradeText } from './raw-socket.ts';
import { sleep } from './until.ts';

export interface SiegeTarget {
  readonly url: string;
  /** A user's token. */
  readonly token: string;
}

/** Feeds a connection that was just made. */
type Attack = (socket: Socket, target: SiegeTarget) => void;

const ahead = 300;
const request = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`;
const bearer = (token: string): string => `Authorization: Bearer ${token}\r\n`;
const many = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join('');

/** A masked frame, its mask zero. */
function frame(opcode: number, isLast: boolean, payload: Buffer): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 6 : 14);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  if (payload.length < 126) head[1] = 0x80 | payload.length;
  else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}

const crumb = Buffer.from('x');
const crumbs = Buffer.concat([
  frame(1, false, crumb),
  ...Array.from({ length: 16_000 }, () => frame(0, false, crumb)),
]);
const large = frame(1, true, Buffer.alloc(127 * 1024, ' '));

const upgrade = (token?: string): string =>
  upgradeText('/v2/realtime/stream', token === undefined ? {} : { Authorization: `Bearer ${token}` });
const first = frame(1, true, Buffer.from('{"services":["chat"],"version":1}'));

/** Writes `bytes` again and again, as fast as the node reads. */
function pour(socket: Socket, bytes: Buffer, times: number): void {
  let left = times;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= 1;
      if (!socket.write(bytes)) return void socket.once('drain', more);
    }
  };
  more();
}

export const attacks = {
  /** The same, with no more requests than may wait. */
  'few files': (socket) => socket.write(many(30, () => request('/docs/swagger-ui-bundle.js'))),
  /** Pipelined requests for a large file, not read. */
  files: (socket) => socket.write(many(ahead, () => request('/docs/swagger-ui-bundle.js'))),
  /** The same for what is made when it is asked for. */
  descriptions: (socket) => socket.write(many(ahead, () => request('/openapi.json'))),
  /** Pipelined polls of one user, each with another limit, not read. */
  polls: (socket, { token }) =>
    socket.write(
      many(60, (index) =>
        request(
          `/v1/realtime/poll?services=chat&cursor=earliest&wait=0&limit=${1000 - index}`,
          bearer(token),
        ),
      ),
    ),
  'few polls': (socket, { token }) =>
    socket.write(
      many(30, (index) =>
        request(
          `/v1/realtime/poll?services=chat&cursor=earliest&wait=0&limit=${1000 - index - 30 * Math.floor(Math.random() * 30)}`,
          bearer(token),
        ),
      ),
    ),
  /** A socket that is refused, then fragments of a byte. */
  fragments: (socket) => {
    socket.write(upgrade());
    setTimeout(() => pour(socket, crumbs, 4), 50);
  },
  /** Fragments of a byte from a user. */
  'fragments of a user': (socket, { token }) => {
    socket.write(upgrade(token));
    setTimeout(() => pour(socket, Buffer.concat([first, crumbs]), 4), 50);
  },
  /** Frames before anybody knows whose they are: the auth server thinks. */
  'early frames': (socket) => {
    socket.write(upgrade('nobody-knows-this-one'));
    pour(socket, large, 70);
  },
  /** Bodies that come in chunks, without a token, to routes that read them. */
  bodies: (socket) => {
    const path = ['/v1/publish', '/v2/realtime/publish', '/v2/realtime/negotiate'][
      Math.floor(Math.random() * 3)
    ];
    socket.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n`);
    pour(socket, Buffer.from(`4000\r\n${' '.repeat(0x4000)}\r\n`), 60);
  },
  /** Heads that never end. */
  heads: (socket) =>
    socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${many(120, () => `X: ${'x'.repeat(110)}\r\n`)}`),
  /** Pings that are answered, and the answers not read. */
  pings: (socket, { token }) => {
    socket.write(upgrade(token));
    pour(
      socket,
      Buffer.concat([first, ...Array.from({ length: 200 }, () => frame(9, true, Buffer.alloc(125)))]),
      400,
    );
  },
} satisfies Record<string, Attack>;

const isHttp = (name: string): boolean => /files|polls|descriptions/.test(name);

export type AttackName = keyof typeof attacks;

/** Keeps `count` connections of the attack up for `ms`, and cuts them then. Returns how many the node had cut. */
export async function besiege(
  target: SiegeTarget,
  name: AttackName,
  { count, ms }: { readonly count: number; readonly ms: number },
): Promise<number> {
  const { port, hostname } = new URL(target.url);
  const attack: Attack = attacks[name];
  const open = new Set<Socket>();
  let isOver = false;
  let cut = 0;
  const begin = (): void => {
    const socket = connect(Number(port), hostname, () => attack(socket, target));
    open.add(socket);
    // It never reads, so it learns of its end by writing.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      open.delete(socket);
      if (isOver) return;
      cut += 1;
      setTimeout(() => void (isOver || begin()), 100);
    });
    const poke = setInterval(() => socket.write(isHttp(name) ? '\r\n' : ''), 500);
    socket.once('close', () => clearInterval(poke));
  };
  for (let index = 0; index < count; index += 1) begin();
  await sleep(ms);
  isOver = true;
  for (const socket of open) socket.destroy();
  return cut;
}
