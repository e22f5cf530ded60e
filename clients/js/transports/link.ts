/** What the driver holds of an open connection, and what a connection needs of it. */
import type { ClientFrame } from '../../../schema/frames.ts';
import type { Environment } from '../environment.ts';
import type { LinkEvent } from '../states.ts';

/** Distributes over the union, which a plain Omit would flatten. */
type Said<E> = E extends LinkEvent ? Omit<E, 'link'> : never;
/** What a connection says; the driver adds whose it is. */
export type LinkNews = Said<LinkEvent>;

export interface OpenLink {
  /** The token that it was opened with, or that it showed since. */
  readonly token: string;
  /** Ends it at once: nothing more is heard from it. Harmless twice. */
  close(): void;
  setServices(services: readonly string[]): void;
  /** @returns false where this connection carries no frames now. */
  send(frame: ClientFrame): boolean;
}

/** An answer to something that the client sent. */
export type Reply =
  | { readonly ok: true; readonly id: string; readonly seq: number | undefined }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly ref: string | undefined };

export interface LinkParts {
  readonly environment: Environment;
  /** Absolute. */
  readonly url: string;
  readonly services: readonly string[];
  readonly session: string;
  tell(news: LinkNews): void;
  reply(reply: Reply): void;
}
