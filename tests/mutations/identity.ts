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
];
