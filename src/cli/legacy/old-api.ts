/** An old API, asked as one of its clients would: no redirect is followed, no cookie kept, nothing of an answer shown. */
import type { LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { CommandError } from '../exits.ts';
import { jsonIn } from '../../json.ts';
import { whyUnreached } from '../gateway-client.ts';
import type { Terminal } from '../terminal.ts';

const maxMiB = 8;
/** For an API that holds as long as it likes. */
const longestMs = 70_000;

export interface OldAnswer extends LegacyAnswer {
  readonly tookMs: number;
}

type Headers = Readonly<Record<string, string>>;

interface OldRequest {
  readonly url?: URL;
  readonly method?: string;
  readonly headers?: Headers;
  readonly body?: string | undefined;
  readonly timeoutMs?: number;
}

export class OldApi {
  constructor(
    private readonly terminal: Pick<Terminal, 'clock' | 'stopped'>,
    /** As a client asks it, its query included. */
    readonly url: URL,
    /** What a client sends: its credentials, mostly. */
    readonly headers: Headers,
  ) {}

  /** @throws CommandError `unreachable` where no answer comes, or one larger than 8 MiB */
  async ask(request: OldRequest): Promise<OldAnswer> {
    const { url = this.url, method = 'GET', headers = this.headers, timeoutMs = longestMs } = request;
    const { clock, stopped } = this.terminal;
    const startMs = clock.monotonic();
    try {
      const answer = await fetch(url, {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), stopped]),
        ...(request.body !== undefined && { body: request.body }),
      });
      const bytes = await readBounded(answer);
      return {
        status: answer.status,
        headers: Object.fromEntries(answer.headers),
        body: bytes.length === 0 ? undefined : bytes,
        tookMs: clock.monotonic() - startMs,
      };
    } catch (thrown) {
      if (thrown instanceof CommandError) throw thrown;
      const why = whyUnreached(thrown, `nothing in ${timeoutMs / 1000} s`);
      const message = `the old API at ${url.origin}${url.pathname} does not answer: ${why}`;
      const hint = 'check --url, and whether it can be reached from here';
      throw new CommandError('unreachable', message, { hint, cause: thrown });
    }
  }
}

/** The body as JSON; undefined where it is none. With `parseExact` an id of twenty digits comes as text, but whole. */
export const bodyOf = ({ body }: LegacyAnswer, parse?: (text: string) => unknown): unknown =>
  body === undefined ? undefined : jsonIn(body.toString(), parse);

async function readBounded(answer: Response): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The types of Node's streams and of the web's name the same thing twice.
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxMiB * 1024 * 1024)
      throw new CommandError('unreachable', `the old API's answer is larger than ${maxMiB} MiB`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

/** Lines of `name: value`, as curl's -H has them. @throws CommandError `usage`, without the value: it is a credential, mostly */
export function parseHeaders(lines: readonly string[] = []): Headers {
  const headers = lines.map((line) => {
    const parts = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*([\t\x20-\x7e]*)$/.exec(line);
    if (parts === null) throw new CommandError('usage', "--header looks like 'cookie: sid=…'");
    const [, name = '', value = ''] = parts;
    return [name.toLowerCase(), value.trim()] as const;
  });
  return Object.fromEntries(headers);
}

/** @throws CommandError `usage` */
export function parseOldUrl(text: string): URL {
  const url = /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.username === '' && url.password === '') return url;
  const why =
    url === undefined
      ? '--url must look like http://backend:3000 or http://backend:3000/api/updates?since=0'
      : "--url has user and password in it: give them as --header 'authorization: …'";
  throw new CommandError('usage', why);
}
