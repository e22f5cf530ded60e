/** Guards of proxy: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const proxyMutations: readonly Mutation[] = [
  {
    name: 'security: dot segments lead a request out of the path that a proxy has let through',
    file: 'src/http/target.ts',
    find: String.raw`if (/\/\.+(?:[/?#]|$)/.test(loose))`,
    replace: 'if (loose.length < 0)',
    test: 'tests/security/request-targets',
    expectRed: '/v1/realtime/../../metrics is refused',
  },
  {
    name: 'security: an own path in an unusual spelling passes a proxy that denies it',
    file: 'src/http/target.ts',
    find: 'other !== undefined && other !== ownerOf(path)',
    replace: 'other === null',
    test: 'tests/security/request-targets',
    expectRed: '/%61dmin/v1/rollout is refused',
  },
  {
    name: 'security: a fragment hides from the profile which path the upstream is asked for',
    file: 'src/http/target.ts',
    find: String.raw`/[\0- #\x7f]/`,
    replace: String.raw`/[\0- \x7f]/`,
    test: 'tests/security/request-targets',
    expectRed: '/api/x#y is refused',
  },
  {
    name: 'security: a target in absolute-form passes a proxy that looks at paths',
    file: 'src/http/target.ts',
    find: "if (!url.startsWith('/')) return 'the target must be a path';",
    replace: '',
    test: 'tests/security/request-targets',
    expectRed: 'http://old/metrics is refused',
  },
  {
    name: 'security: a Host header brings a path of its own',
    file: 'src/http/target.ts',
    find: "if (!plainHost.test(headers.host ?? '')) return 'Host: must be a host name and perhaps a port';",
    replace: '',
    test: 'tests/security/request-targets',
    expectRed: 'letters that grow in Punycode',
  },
  {
    name: 'security: an upgrade is not held to the targets that requests are held to',
    file: 'src/transports/websocket.ts',
    find: "if (this.options.isMalformed?.(request) === true) return 'bad_request';",
    replace: '',
    test: 'tests/security/request-targets',
    expectRed: 'in writes and upgrades too',
  },
];
