/**
 * A caller's credential, read from a request and passed on as it came. The secret stays in a private field, so that no log
 * line, error or dump of an object can show it.
 */
import { createHash } from 'node:crypto';

/** Where in a request the credential was, and where it goes in a request to an auth server. */
export type CredentialPlace = 'authorization' | 'cookie' | 'header' | 'query';

// The characters of a header's value; anything else is no credential, and the request to the auth server would fail.
const headerText = /^[\x20-\x7e\x80-\xff]+$/;

export class Credential {
  readonly #name: string;
  readonly #value: string;

  private constructor(
    readonly place: CredentialPlace,
    name: string,
    value: string,
  ) {
    this.#name = name;
    this.#value = value;
  }

  /** The whole `Authorization` header, whatever its scheme. */
  static authorization(value: string): Credential {
    return new Credential('authorization', 'authorization', value);
  }

  static bearer(token: string): Credential {
    return Credential.authorization(`Bearer ${token}`);
  }

  /**
   * Returns the cookie of that name; undefined where it is absent or empty. A cookie that came twice is passed on twice, in
   * its order: the auth server decides which of them counts.
   */
  static cookie(header: string | undefined, name: string): Credential | undefined {
    const pairs = (header ?? '')
      .split(';')
      .map((pair) => pair.trim())
      .filter((pair) => pair.startsWith(`${name}=`) && pair.length > name.length + 1);
    return pairs.length === 0 ? undefined : new Credential('cookie', name, pairs.join('; '));
  }

  static header(name: string, value: string): Credential {
    return new Credential('header', name.toLowerCase(), value);
  }

  static query(name: string, value: string): Credential {
    return new Credential('query', name, value);
  }

  /** Reads what `pack` wrote. @throws Error for any other text */
  static unpack(text: string): Credential {
    const [place, name, value] = JSON.parse(text) as [CredentialPlace, string, string];
    return new Credential(place, name, value);
  }

  /** Returns the whole credential as text: to be encrypted, never shown. */
  pack(): string {
    return JSON.stringify([this.place, this.#name, this.#value]);
  }

  /** The token alone; undefined where the header's scheme is another. */
  get token(): string | undefined {
    if (this.place === 'authorization') return /^Bearer +(\S+)$/i.exec(this.#value)?.[1];
    if (this.place === 'cookie') return this.#value.slice(this.#name.length + 1).split(';', 1)[0];
    return this.#value;
  }

  /** Each text in it that may be a secret: the value whole and word by word, each cookie, the password of Basic. */
  parts(): readonly string[] {
    const value = this.#value;
    const words = value.split(/\s+/);
    const cookies = value.split(';').map((pair) => pair.slice(pair.indexOf('=') + 1).trim());
    const basic = /^Basic +(\S+)$/i.exec(value)?.[1] ?? '';
    const password = Buffer.from(basic, 'base64').toString('utf8').split(':').slice(1).join(':');
    return [...new Set([value, ...words, ...(this.place === 'cookie' ? cookies : []), password])];
  }

  get length(): number {
    return this.#value.length;
  }

  /** False where it can't be passed on in a header. */
  get isSendable(): boolean {
    return this.place === 'query' || headerText.test(this.#value);
  }

  /** Returns its key for caches, a SHA-256: no two credentials share one, and none can be found from it. */
  digest(): string {
    return createHash('sha256').update(this.pack()).digest('base64');
  }

  /** Returns the URL and headers of a request about it, with nothing else of the caller's. */
  askAt(url: string): { readonly url: URL; readonly headers: Readonly<Record<string, string>> } {
    const asked = new URL(url);
    if (this.place === 'query') {
      asked.searchParams.set(this.#name, this.#value);
      return { url: asked, headers: {} };
    }
    return { url: asked, headers: { [this.place === 'cookie' ? 'cookie' : this.#name]: this.#value } };
  }
}

/** Returns a caller's credential: the `Authorization` header; without one, the cookie of that name. */
export function readCredential(
  headers: { readonly authorization: string | undefined; readonly cookie: string | undefined },
  cookieName: string | undefined,
): Credential | undefined {
  if (headers.authorization !== undefined) return Credential.authorization(headers.authorization);
  return cookieName === undefined ? undefined : Credential.cookie(headers.cookie, cookieName);
}
