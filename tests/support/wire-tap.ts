/** Reads the frames that a server wrote from the bytes themselves: what a WebSocket library hides (RSV1, pings). */
import type { Socket } from 'node:net';

export interface WireFrame {
  readonly opcode: number;
  /** Compressed, where permessage-deflate was negotiated. */
  readonly rsv1: boolean;
  readonly bytes: number;
}

export function tapFrames(socket: Socket, heard: (frame: WireFrame) => void): void {
  let left: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    left = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    for (;;) {
      const head = readHead(left);
      if (head === undefined || left.length < head.size + head.bytes) return;
      heard({ opcode: head.opcode, rsv1: head.rsv1, bytes: head.bytes });
      left = left.subarray(head.size + head.bytes);
    }
  });
}

/** A server's frames are not masked (RFC 6455, 5.2). */
function readHead(from: Buffer): (WireFrame & { readonly size: number }) | undefined {
  if (from.length < 2) return undefined;
  const first = from.readUInt8(0);
  const short = from.readUInt8(1) & 0x7f;
  const base = { opcode: first & 0x0f, rsv1: (first & 0x40) !== 0 };
  if (short < 126) return { ...base, bytes: short, size: 2 };
  if (short === 126) return from.length < 4 ? undefined : { ...base, bytes: from.readUInt16BE(2), size: 4 };
  return from.length < 10 ? undefined : { ...base, bytes: Number(from.readBigUInt64BE(2)), size: 10 };
}
