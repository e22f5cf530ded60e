/** Guards of identity: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const identityMutations: readonly Mutation[] = [
  {
    name: 'security: a name that begins with 127. is loopback',
    file: 'src/config/loopback.ts',
    find: "(isIP(host) === 4 && host.startsWith('127.'))",
    replace: "(isIP(host) !== 6 && host.startsWith('127.'))",
    test: 'tests/security/demo-pages',
    expectRed: 'refuses a page that made 127.evil.example point here',
  },
  {
    name: 'security: the demo takes a page under any name for its own',
    file: 'src/demo/own-page.ts',
    find: "isFromHere && isLoopbackHost(hostname.replaceAll(/[[\\]]/g, ''))",
    replace: "isFromHere && (isLoopbackHost(hostname) || hostname !== '')",
    test: 'tests/security/demo-pages',
    expectRed: 'refuses a page that made evil.example point here',
  },
  {
    name: "security: any page publishes by the demo's sample backend",
    file: 'src/demo/backend.ts',
    find: ".post('/finance/revenue', ownPageOnly, small,",
    replace: ".post('/finance/revenue', small,",
    test: 'tests/security/demo-pages',
    expectRed: 'refuses a page of the origin http://evil.example',
  },
  {
    name: "security: the auth server is asked about Turnout's own secrets",
    file: 'src/auth/server.ts',
    find: "if (this.options.holdsSecret(credential)) throw fail('unauthorized');",
    replace: '',
    test: 'tests/security/own-secrets',
    expectRed: 'a secret of a setting in a bearer token is refused without asking',
  },
  {
    name: "security: the auth server is asked about Turnout's own tickets",
    file: 'src/auth/own-secrets.ts',
    find: 'isTicket(part) || isSecret(part)',
    replace: 'isTicket.length === 0 || isSecret(part)',
    test: 'tests/security/own-secrets',
    expectRed: 'a ticket, of this node or another, is refused without asking',
  },
  {
    name: 'security: a secret is recognised in a bearer token alone',
    file: 'src/auth/own-secrets.ts',
    find: 'credential.parts().filter(',
    replace: "[credential.token ?? ''].filter(",
    test: 'tests/security/own-secrets',
    expectRed: 'a secret of a setting in a password is refused without asking',
  },
  {
    name: "correctness: an issuer's own roles make an admin of Turnout",
    file: 'src/auth/admin-roles.ts',
    find: "takesAdminRoles(config) ? roles : roles.filter((role) => role === 'producer')",
    replace: 'takesAdminRoles(config) ? roles : roles.filter((role) => role.length > 0)',
    test: 'tests/security/admin-roles',
    expectRed: "an issuer's own roles at the token's root leave nothing but producer",
  },
  {
    name: 'correctness: a start does not say that tokens give no admin roles',
    file: 'src/gateway/gateway.ts',
    find: 'if (note !== undefined) logger[note.level]',
    replace: 'if (note !== undefined && note.next.length === 0) logger[note.level]',
    test: 'tests/security/admin-roles',
    expectRed: 'lets its issuer’s admin change nothing, and says at its start why',
  },
];
