/** What an open stream's client may ask for: other services, a renewed token, a publish. Each is answered in order. */
import { limits } from '../../schema/codes.ts';
import type { PublishEvent } from '../../schema/envelope.ts';
import type { ClientFrame } from '../../schema/frames.ts';
import { asTurnoutError, fail, type TurnoutError } from '../errors.ts';
import type { Reader } from '../hub/reader.ts';
import type { Identity } from '../auth/identity.ts';
import { frames } from './frames.ts';

export interface CommandDeps {
  /** @throws unauthorized */
  verifyToken(token: string): Promise<Identity>;
  /** An end user's publish. @throws TurnoutError */
  publish(identity: Identity, event: PublishEvent): Promise<{ id: string; seq?: number }>;
}

/** How the stream answers. */
export interface CommandHost {
  /** Names the reader's position. */
  acknowledge(): void;
  /** An error frame; the stream lives on. */
  complain(error: TurnoutError, ref: string | undefined): void;
  reply(frame: Buffer): void;
  /** The stream's token is another from now on. */
  renewed(identity: Identity): void;
}

export class Commands {
  private readonly deps: CommandDeps;
  private readonly reader: Reader;
  private readonly host: CommandHost;
  private identity: Identity;

  constructor(deps: CommandDeps, reader: Reader, identity: Identity, host: CommandHost) {
    this.deps = deps;
    this.reader = reader;
    this.identity = identity;
    this.host = host;
  }

  /** Undefined where the frame is dealt with already; else until it is. Never rejects. */
  obey(frame: ClientFrame): Promise<void> | undefined {
    const { reader, host } = this;
    switch (frame.type) {
      case 'subscribe':
        this.subscribe(frame.services);
        return undefined;
      case 'unsubscribe': {
        const gone = new Set(frame.services);
        reader.setServices(new Set([...reader.services].filter((service) => !gone.has(service))));
        host.acknowledge();
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
    const { reader, host } = this;
    const services = new Set([...reader.services, ...this.allowed(asked)]);
    const most = limits.servicesPerConnection;
    if (services.size > most) host.complain(fail('bad_field', `at most ${most} services`), 'services');
    else reader.setServices(services);
    host.acknowledge();
  }

  private async renew(token: string): Promise<void> {
    const { reader, host } = this;
    try {
      const identity = await this.deps.verifyToken(token);
      if (identity.org !== this.identity.org || identity.sub !== this.identity.sub)
        throw fail('unauthorized', 'the token is of another user or org');
      this.identity = identity;
      host.renewed(identity);
      reader.setServices(new Set(this.allowed([...reader.services])));
      host.acknowledge();
    } catch (thrown) {
      host.complain(asTurnoutError(thrown), 'auth');
    }
  }

  private async publish(event: PublishEvent & { id: string }): Promise<void> {
    const { host } = this;
    try {
      const { id, seq } = await this.deps.publish(this.identity, event);
      host.reply(frames.published(id, seq));
    } catch (thrown) {
      host.complain(asTurnoutError(thrown), event.id);
    }
  }

  /** Those of the services that the token allows; an error frame for each other. */
  private allowed(services: readonly string[]): string[] {
    return services.filter((service) => {
      const isAllowed = this.identity.reads.allows(service);
      if (!isAllowed) this.host.complain(fail('service_forbidden'), service);
      return isAllowed;
    });
  }
}
