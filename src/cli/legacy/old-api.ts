/** Asks an old API as one of its clients would, once: no redirect is followed, no cookie kept, nothing of an answer shown. */
import { codeIn } from '../../errors.ts';
import type { LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { CommandError } from '../exits.ts';
import type { Terminal } from '../terminal.ts';

const maxBytes = 8 * 1024 * 1024;

export interface OldAnswer extends LegacyAnswer {
  readonly tookMs: number;
}

export interface OldRequest {
  readonly url: URL;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly timeoutMs: number;
}

/** @throws CommandError `unreachable` where no answer comes, or one larger than 8 MiB */
export async function askOldApi(
  { clock, stopped }: Pick<Terminal, 'clock' | 'stopped'>,
  { url, method = 'GET', headers = {}, body, timeoutMs }: OldRequest,
): Promise<OldAnswer> {
  const startMs = clock.monotonic();
  try {
    const answer = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), stopped]),
      ...(body === undefined ? {} : { body }),
    });
    const bytes = await readBounded(answer);
    const tookMs = clock.monotonic() - startMs;
    const isBare = bytes.length === 0;
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: isBare ? undefined : bytes,
      tookMs,
    };
  } catch (thrown) {
    if (thrown instanceof CommandError) throw thrown;
    const cause = thrown instanceof Error ? thrown.cause : undefined;
    const code = codeIn(cause) ?? 'the connection failed';
    const isLate = thrown instanceof Error && thrown.name === 'TimeoutError';
    throw new CommandError(
      'unreachable',
      `the old API at ${url.origin}${url.pathname} does not answer: ${isLate ? `nothing in ${timeoutMs / 1000} s` : code}`,
      { hint: 'check --url, and whether it can be reached from here', cause: thrown },
    );
  }
}

async function readBounded(answer: Response): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The types of Node's streams and of the web's name the same thing twice.
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes)
      throw new CommandError(
        'unreachable',
        `the old API's answer is larger than ${maxBytes / 1024 / 1024} MiB`,
      );
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

/** `name: value`, as curl's -H has it. @throws CommandError `usage`, without the value: it is a credential, mostly */
export function parseHeader(text: string): [string, string] {
  const parts = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*([\t\x20-\x7e]*)$/.exec(text);
  if (parts === null) throw new CommandError('usage', "--header looks like 'cookie: sid=…'");
  const [, name = '', value = ''] = parts;
  return [name.toLowerCase(), value.trim()];
}

/** @throws CommandError `usage` */
export function parseOldUrl(text: string): URL {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new CommandError(
      'usage',
      '--url must look like http://backend:3000 or http://backend:3000/api/updates?since=0',
    );
  const url = new URL(text);
  if (url.username !== '' || url.password !== '')
    throw new CommandError(
      'usage',
      "--url has user and password in it: give them as --header 'authorization: …'",
    );
  return url;
}
