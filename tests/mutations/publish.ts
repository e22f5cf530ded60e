/** Guards of publish: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const publishMutations: readonly Mutation[] = [
  {
    name: 'correctness: a string that a regular expression matches overflows its stack',
    file: 'src/log/exact-numbers.ts',
    find: 'if (code === quote) at = endOfString(json, at);',
    replace: 'if (code === quote) at += (/"(?:[^"\\\\]|\\\\.)*"/.exec(json.slice(at))?.[0].length ?? 1) - 1;',
    test: 'tests/correctness/exact-numbers',
    expectRed: 'a string of 8 MiB of letters is passed over',
  },
  {
    name: 'security: the body of a user who may publish nothing is read before the refusal',
    file: 'src/publish/publisher.ts',
    find: "if (role === 'user' && identity.publishes.isEmpty)",
    replace: 'if (identity.publishes.patterns.length < 0)',
    test: 'tests/security/json-bounds',
    expectRed: 'is refused by POST /v2/realtime/publish before its body is read',
  },
  {
    name: 'security: a negotiation reads its body before it knows its caller',
    file: 'src/http/negotiate.ts',
    find: `    const identity = await deps.authenticate(c);
    await holdTo(c, bodyBytes);`,
    replace: `    await holdTo(c, bodyBytes);
    const identity = await deps.authenticate(c);`,
    test: 'tests/security/json-bounds',
    expectRed: 'is refused by POST /v2/realtime/negotiate before its body is read',
  },
  {
    name: 'security: an end user’s body may be as large as a batch of a backend',
    file: 'src/http/publish.ts',
    find: 'await holdTo(c, bodyBytes[role]);',
    replace: 'await holdTo(c, bodyBytes.producer);',
    test: 'tests/security/json-bounds',
    expectRed: 'has at most what its route can hold',
  },
  {
    name: 'security: bodies are parsed however deep they are',
    file: 'src/http/json-body.ts',
    find: 'JSON.parse(withinBounds(text))',
    replace: 'JSON.parse(text)',
    test: 'tests/security/json-bounds',
    expectRed: 'with more than its bounds is refused by every route',
  },
  {
    name: 'security: frames are parsed however deep they are',
    file: 'src/transports/client-frames.ts',
    find: 'JSON.parse(withinBounds(text))',
    replace: 'JSON.parse(text)',
    test: 'tests/security/json-bounds',
    expectRed: 'a frame with more than the bounds is answered by an error',
  },
  {
    name: 'security: the keys, lists and objects of a body are not counted',
    file: 'src/json.ts',
    find: 'if (parts > limits.jsonParts)',
    replace: 'if (parts < 0)',
    test: 'tests/security/json-bounds',
    expectRed: 'with more than its bounds is refused by every route, in words: keys',
  },
  {
    name: 'security: bodies of legacy polls are parsed however deep they are',
    file: 'src/legacy/proxy/exchange.ts',
    find: 'parseExact(withinBounds(text))',
    replace: 'parseExact(text)',
    test: 'tests/security/json-bounds',
    expectRed: 'a legacy poll whose body is nested too deep',
  },
  {
    name: 'security: what is posted to the demo is parsed however deep it is',
    file: 'src/demo/backend.ts',
    find: 'JSON.parse(withinBounds(body))',
    replace: 'JSON.parse(body)',
    test: 'tests/security/json-bounds',
    expectRed: 'that curl posts to the demo',
  },
  {
    name: 'security: the bridge takes an item however deep it is',
    file: 'src/legacy/bridge/batch.ts',
    find: 'return jsonSize(prepared.after).depth > limits.jsonDepth ? tooDeep : prepared;',
    replace: 'return jsonSize(prepared.after).depth < 0 ? tooDeep : prepared;',
    test: 'tests/security/json-bounds',
    expectRed: 'an item of a source that is nested too deep leaves a hole',
  },
];
