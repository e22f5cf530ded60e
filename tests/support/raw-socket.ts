/** A TCP connection for what no HTTP client would send. */
import { type Socket, connect } from 'node:net';
import { until } from './until.ts';

export interface RawSocket {
  readonly socket: Socket;
  /** All that came, as text. */
  said(): string;
  readonly isClosed: () => boolean;
}

export function openRaw(url: string, send: string | Buffer): Promise<RawSocket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let heard = '';
    let isClosed = false;
    const socket = connect({ host: hostname, port: Number(port) });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      heard += text;
    });
    socket.on('close', () => {
      isClosed = true;
    });
    socket.once('connect', () => {
      socket.write(send);
      resolve({ socket, said: () => heard, isClosed: () => isClosed });
    });
    socket.on('error', reject);
  });
}

/** Sends bytes, each a character of `text`, and returns all that comes until the node closes the connection. */
export async function exchangeRaw(url: string, text: string): Promise<string> {
  const raw = await openRaw(url, Buffer.from(text, 'latin1'));
  try {
    await until(
      () => raw.isClosed(),
      () => `the end of the connection; it said:\n${raw.said()}`,
    );
    return raw.said();
  } finally {
    raw.socket.destroy();
  }
}

/** The text of a WebSocket upgrade, as a browser sends it. */
export function upgradeText(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: '127.0.0.1',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
