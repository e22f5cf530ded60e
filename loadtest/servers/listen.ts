/** How a stand-in server says that it serves: the gateway's own line. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** On a free loopback port, with the backlog that the gateway uses. */
export function listen(server: Server): void {
  server.listen(0, '127.0.0.1', 4096, () => {
    const { port } = server.address() as AddressInfo;
    console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }));
  });
  process.once('SIGTERM', () => process.exit(0));
}

/** A `node:http` server of one handler; what it throws ends the process, and so the bench. */
export function serve(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Server {
  return createServer((request, response) => void handle(request, response));
}

/** Reads a request's JSON body. */
export async function readJson<T>(request: AsyncIterable<Buffer>): Promise<T> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString()) as T;
}

export interface PublishBody {
  readonly events: readonly { readonly service: string; readonly type: string; readonly payload: unknown }[];
}
