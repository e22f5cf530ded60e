/** Guards of what a connection may make a node hold. */
import type { Mutation } from './mutation.ts';

const connections = 'tests/security/http-connections';
const sockets = 'tests/security/stream-sockets';

export const bytesMutations: readonly Mutation[] = [
  {
    name: 'security: the requests of a connection are handled as they come',
    file: 'src/http/connections.ts',
    find: 'if (!this.isAnswering) {',
    replace: 'if (this.stallMs > 0) {',
    test: connections,
    expectRed: 'has its next request handled once the answer before has left',
  },
  {
    name: 'security: any number of requests may wait on a connection',
    file: 'src/http/connections.ts',
    find: 'if (this.ahead.length < maxAhead) return false;',
    replace: 'if (maxAhead > 0) return false;',
    test: connections,
    expectRed: 'is cut past that',
  },
  {
    name: 'security: an answer that nobody reads stands for ever',
    file: 'src/http/connections.ts',
    find: 'socket.setTimeout(this.stallMs, onStall);',
    replace: 'socket.setTimeout(0);',
    test: connections,
    expectRed: 'is cut when its time is up',
  },
  {
    name: 'security: the time of an answer before cuts the poll that is held after it',
    file: 'src/http/connections.ts',
    find: '    this.socket.setTimeout(0);\n    turn();',
    replace: '    turn();',
    test: connections,
    expectRed: 'keeps no other request waiting for longer',
  },
  {
    name: 'security: what clients make a node hold is counted and not bounded',
    file: 'src/async/bytes-in-flight.ts',
    find: 'while (this.bytes > maxBytes) {',
    replace: 'while (maxBytes < 0) {',
    test: 'tests/security/bytes-in-flight',
    expectRed: 'cuts the connection that has held bytes for longest',
  },
  {
    name: 'security: bytes that many wait for count for each of them',
    file: 'src/async/bytes-in-flight.ts',
    find: 'buffer === undefined ? bytes : this.once(bytes, buffer)',
    replace: 'buffer === undefined ? bytes : Math.max(bytes, this.once(bytes, buffer))',
    test: 'tests/security/bytes-in-flight',
    expectRed: 'counts bytes that many connections wait for once',
  },
  {
    name: 'security: a socket is read before anybody knows whose it is',
    file: 'src/transports/inbox.ts',
    find: '    // Anybody can open a socket, and an auth server may be slow to say who did.\n    ws.pause();\n',
    replace: '',
    test: 'tests/unit/inbox',
    expectRed: 'reads nothing until the client is known',
  },
  {
    name: 'security: any number of bytes waits for its turn on a stream',
    file: 'src/transports/inbox.ts',
    find: ' || this.waitingBytes > maxWaitingBytes',
    replace: '',
    test: 'tests/unit/inbox',
    expectRed: 'no more than a frame ahead',
  },
  {
    name: 'security: strangers take the places of users',
    file: 'src/transports/seats.ts',
    find: "    let state: 'unknown' | 'known' | 'left' = 'unknown';",
    replace: "    this.known += 1;\n    let state: 'unknown' | 'known' | 'left' = 'unknown';",
    test: sockets,
    expectRed: 'take no place of a user once they are refused',
  },
  {
    name: 'security: a refused socket stays open',
    file: 'src/transports/turned-away.ts',
    find: 'wheel.after(refusalMs, () => void socket.destroy())',
    replace: 'wheel.after(refusalMs, () => undefined)',
    test: 'tests/security/turned-away',
    expectRed: 'is cut after a second',
  },
  {
    name: 'security: a refused socket is read on',
    file: 'src/transports/turned-away.ts',
    find: 'if (leftBytes < 0) socket.destroy();',
    replace: 'if (leftBytes < -refusedBytes * 100) socket.destroy();',
    test: 'tests/security/turned-away',
    expectRed: 'is cut at once when it goes on talking',
  },
  {
    name: 'security: a frame may come in any number of fragments',
    file: 'src/transports/websocket.ts',
    find: '      maxFragments,\n',
    replace: '',
    test: sockets,
    expectRed: 'flood of fragments',
  },
];
