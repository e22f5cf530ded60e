/** A profile is data: nothing in its text runs, grows without bound, or reaches beyond it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/config.ts';
import { loadProfiles } from '../../src/legacy/profile/load.ts';
import { parseProfileText } from '../../src/legacy/profile/text.ts';

const folder = mkdtempSync(join(tmpdir(), 'turnout-bombs-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Nine levels of nine references: 9^9 words from 400 characters. */
const laughs = Array.from({ length: 9 }, (_, level) => {
  const inner = level === 0 ? Array(9).fill('lol') : Array(9).fill(`*a${level - 1}`);
  return `a${level}: &a${level} [${inner.join(', ')}]`;
}).join('\n');

const bombs: readonly [string, string][] = [
  ['a billion laughs', laughs],
  [
    'laughs in maps',
    'a: &a {x: 1}\n' +
      Array.from(
        { length: 30 },
        (_, at) =>
          `b${at}: &b${at} {l: *${at === 0 ? 'a' : `b${at - 1}`}, r: *${at === 0 ? 'a' : `b${at - 1}`}}`,
      ).join('\n'),
  ],
  ['an alias of nothing', 'a: *nowhere'],
  ['3,000 brackets', '['.repeat(3000)],
  ['brackets that close', `a: ${'['.repeat(2000)}${']'.repeat(2000)}`],
  ['a map in a map, 2,000 deep', `${'{a: '.repeat(2000)}1${'}'.repeat(2000)}`],
  ['3,000 anchors', Array.from({ length: 3000 }, (_, at) => `- &x${at} ${at}`).join('\n')],
  ['a function', 'a: !!js/function "function () { globalThis.pwned = 1 }"'],
  ['an object of a class', 'a: !!python/object/apply:os.system ["touch /tmp/pwned"]'],
  ['a merge of itself', 'a: &a\n  <<: *a\n  b: 1'],
  ['a million spaces', `a:${' '.repeat(1_000_000)}b`],
];

/** True where it was read, false where it was refused; every other end is a throw. */
function isRead(text: string): boolean {
  const path = join(folder, 'bomb.yaml');
  writeFileSync(path, text);
  try {
    loadProfiles([path], {}, { host: '127.0.0.1', port: 0 });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    expect(thrown.problems.length).toBeLessThan(200);
    expect(thrown.message.length).toBeLessThan(20_000);
    return false;
  }
}

describe('a profile', () => {
  it.each(bombs)('of %s is refused as a faulty profile, with memory to spare', (_what, text) => {
    const before = process.memoryUsage().heapUsed;
    expect(isRead(text)).toBe(false);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 1024 * 1024);
    expect(globalThis).not.toHaveProperty('pwned');
  });

  it('over 1 MiB is not read at all', () => {
    expect(isRead(`a: ${'x'.repeat(1024 * 1024)}`)).toBe(false);
  });

  it('with __proto__ changes no object but its own', () => {
    parseProfileText('__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}');
    expect(isRead('__proto__: {polluted: 1}\nname: x')).toBe(false);
    expect({}).not.toHaveProperty('polluted');
  });
});
