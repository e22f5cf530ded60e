/** What an open stream's client may ask for: other services, a renewed token, a publish; and how each is answered, in order. */
import { type CloseCode, codes, limits } from '../../schema/codes.ts';
import type { PublishEvent } from '../../schema/envelope.ts';
import type { ClientFrame } from '../../schema/frames.ts';
import { asTurnoutError, fail, type TurnoutError } from '../errors.ts';
import type { Reader } from '../hub/reader.ts';
import { type Identity, userKey } from '../auth/identity.ts';
import { parseClientFrame } from './client-frames.ts';
import type { StreamDeps } from './deps.ts';
import { frames } from './frames.ts';
import type { Inbox } from './inbox.ts';
import type { Outbox } from './outbox.ts';

/** The stream that the commands come by. */
interface CommandHost {
  readonly connection: string;
  readonly assignment: number | undefined;
  readonly inbox: Pick<Inbox, 'isFlood'>;
  readonly outbox: Outbox;
  /** Why it was ended; undefined while it was not. */
  readonly ending: CloseCode | undefined;
  end(code: CloseCode): void;
  /** Ends it for what was thrown. */
  fail(thrown: unknown): void;
  /** The stream's token is another from now on. */
  watchValidity(identity: Identity): void;
}

export class Commands {
  private errors = 0;

  constructor(
    private readonly deps: Pick<StreamDeps, 'verifyToken' | 'publish' | 'onFault' | 'clock' | 'pingMs'>,
    readonly reader: Reader,
    private identity: Identity,
    private readonly host: CommandHost,
  ) {}

  /** Names the reader's position. */
  acknowledge(): void {
    const { reader, host } = this;
    const { clock, pingMs } = this.deps;
    const { connection, assignment = 0 } = host;
    host.outbox.control(frames.ack(reader.position, clock.now(), { connection, pingMs, assignment }));
    // What follows the ack is the new set's: a reader that was at the head under the old one may have more to read now.
    queueMicrotask(() => reader.pump());
  }

  /** Answers with an error frame; the stream lives on. */
  complain(error: TurnoutError, ref: string | undefined): void {
    const { host } = this;
    if (host.ending !== undefined) return;
    if (error.code === 'internal') this.deps.onFault(error);
    // Only the client's own mistakes count: while the log is away it may go on trying.
    if (codes[error.code].retry === 'never') this.errors += 1;
    if (this.errors > limits.errorsPerConnection) host.end('flooding');
    else host.outbox.control(frames.error(error.code, error.message, ref), 'error');
  }

  /** Undefined where the frame is dealt with already; else until it is. Never throws or rejects. */
  handle(text: string): Promise<void> | undefined {
    const { host } = this;
    try {
      const parsed = parseClientFrame(text);
      const isCounted = !parsed.ok || parsed.frame.type !== 'publish';
      if (isCounted && host.inbox.isFlood()) host.end('flooding');
      else if (!parsed.ok) this.complain(parsed.error, parsed.ref);
      else return this.obey(parsed.frame);
    } catch (thrown) {
      host.fail(thrown);
    }
    return undefined;
  }

  private obey(frame: ClientFrame): Promise<void> | undefined {
    const { reader } = this;
    switch (frame.type) {
      case 'subscribe':
        this.subscribe(frame.services);
        return undefined;
      case 'unsubscribe': {
        const gone = new Set(frame.services);
        reader.setServices(new Set([...reader.services].filter((service) => !gone.has(service))));
        this.acknowledge();
        return undefined;
      }
      case 'auth':
        return this.renew(frame.token);
      case 'publish':
        return this.publish({ ...frame.event, id: frame.id, service: frame.service });
      case 'pong':
        return undefined;
    }
  }

  private subscribe(asked: readonly string[]): void {
    const { reader } = this;
    const services = new Set([...reader.services, ...this.allowed(asked)]);
    const most = limits.servicesPerConnection;
    if (services.size > most) this.complain(fail('bad_field', `at most ${most} services`), 'services');
    else reader.setServices(services);
    this.acknowledge();
  }

  private async renew(token: string): Promise<void> {
    const { reader } = this;
    try {
      const identity = await this.deps.verifyToken(token, userKey(this.identity));
      if (identity.org !== this.identity.org || identity.sub !== this.identity.sub)
        throw fail('unauthorized', 'the token is of another user or org');
      this.identity = identity;
      this.host.watchValidity(identity);
      reader.setServices(new Set(this.allowed([...reader.services])));
      this.acknowledge();
    } catch (thrown) {
      this.complain(asTurnoutError(thrown), 'auth');
    }
  }

  private async publish(event: PublishEvent & { id: string }): Promise<void> {
    try {
      const { id, seq } = await this.deps.publish(this.identity, event);
      this.host.outbox.control(frames.published(id, seq));
    } catch (thrown) {
      const error = asTurnoutError(thrown);
      // A client that goes on past its rate costs the node a parse each time.
      if (error.code === 'rate_limited' && this.host.inbox.isFlood()) this.host.end('flooding');
      else this.complain(error, event.id);
    }
  }

  /** Those of the services that the token allows; an error frame for each other. */
  private allowed(services: readonly string[]): string[] {
    return services.filter((service) => {
      const isAllowed = this.identity.reads.allows(service);
      if (!isAllowed) this.complain(fail('service_forbidden'), service);
      return isAllowed;
    });
  }
}
