/** The body of a watched answer as its client reads it: unpacked where the backend, or what stands before it, compressed it. */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';
import type { LegacyAnswer } from './dialect.ts';

type Unpack = (bytes: InputType, options: ZlibOptions) => Promise<Buffer>;

const unpackers: Readonly<Record<string, Unpack>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
};
// Some hundred bytes can unpack to megabytes.
const maxOutputLength = 2 * 1024 * 1024;

/** Undefined where it can't be unpacked, or is too much. */
export async function decoded(answer: LegacyAnswer): Promise<LegacyAnswer | undefined> {
  const coding = answer.headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity' || answer.body === undefined) return answer;
  const unpack = Object.hasOwn(unpackers, coding) ? unpackers[coding] : undefined;
  try {
    const body = await unpack?.(answer.body, { maxOutputLength });
    return body && { ...answer, body };
  } catch {
    return undefined;
  }
}
