/** Routes as app.ts will mount them, with one onError, and tokens that say who they are: `org/sub/role,role`. */
import { Hono } from 'hono';
import { codes } from '../../../schema/codes.ts';
import { asTurnoutError, fail } from '../../../src/errors.ts';
import type { Authenticator, Identity, Ticket } from '../../../src/auth/identity.ts';
import { identity } from './support.ts';

/** Readable tokens and tickets: signatures are auth's business, and its tests'. */
export const plainAuthenticator: Authenticator = {
  async verifyToken(token): Promise<Identity> {
    const [org, sub, roles] = (token ?? '').split('/');
    if (!org || !sub) throw fail('unauthorized');
    return identity(sub, org, roles?.split(',') ?? []);
  },
  verify: (credential) => plainAuthenticator.verifyToken(credential?.token),
  async verifyTicket(ticket) {
    return JSON.parse(ticket) as Ticket;
  },
  async issueTicket({ identity: { org, sub }, ...rest }) {
    return JSON.stringify({ org, sub, ...rest });
  },
};

// Each route app has its own Env; mounted, only its paths matter.
export function mounted(...routes: Hono<never>[]): Hono {
  const app = new Hono();
  for (const route of routes) app.route('/', route);
  app.onError((thrown, c) => {
    const { code, message } = asTurnoutError(thrown);
    return c.json({ error: { code, message } }, codes[code].status as 400);
  });
  return app;
}
