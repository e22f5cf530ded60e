/** The small words of the command line: spans, places, tokens, files, and what is safe to show. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../../src/auth/authenticator.ts';
import { CommandError, errorJson, errorLines, exits } from '../../../src/cli/exits.ts';
import { parsePosition } from '../../../src/cli/follow.ts';
import { makeKillFile, removeKillFile, standingKillFile } from '../../../src/cli/kill-file.ts';
import { countingNumber } from '../../../src/cli/options.ts';
import { parseSpan, sinceText, spanText } from '../../../src/cli/spans.ts';
import { eventLine } from '../../../src/cli/tail-command.ts';
import { pauseMs, printable } from '../../../src/cli/terminal.ts';
import { inspectToken, mintToken } from '../../../src/cli/token-claims.ts';
import { systemClock } from '../../../src/clock.ts';
import { readConfig } from '../../../src/config/config.ts';
import { makeToken, makeUnsignedToken } from '../../support/token-maker.ts';

const folder = mkdtempSync(join(tmpdir(), 'turnout-words-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('spans', () => {
  it.each([
    [0, '0 ms'],
    [850, '850 ms'],
    [59_999, '1 min'],
    [90_000, '1 min 30 s'],
    [3 * 3_600_000 + 20 * 60_000, '3 h 20 min'],
    [86_400_000, '1 d'],
  ])('tells %d ms as %s', (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });

  it.each([
    ['90s', 90_000],
    ['15m', 900_000],
    ['7d', 604_800_000],
    ['7', undefined],
    ['-1s', undefined],
  ])('reads %s as %s', (text, ms) => {
    expect(parseSpan(text)).toBe(ms);
  });

  it('tells what is to come from what was', () => {
    expect(sinceText('2026-01-01T00:00:00.000Z', Date.parse('2025-12-31T23:59:00.000Z'))).toBe(
      '2026-01-01 00:00:00Z (in 1 min)',
    );
  });
});

describe('a count', () => {
  it('is 1 or more: none would end before it began', () => {
    expect(countingNumber('12')).toBe(12);
    for (const text of ['0', '-1', '1.5', 'all']) expect(() => countingNumber(text)).toThrow('It is');
  });
});

describe('backoff', () => {
  it('doubles from one second to sixteen, and stays within 20 %', () => {
    const steps = [0, 1, 2, 3, 4, 50].map((failures) => pauseMs(failures, { random: () => 0.5 }));
    expect(steps).toEqual([1000, 2000, 4000, 8000, 16_000, 16_000]);
    expect(pauseMs(0, { random: () => 0 })).toBe(800);
    expect(pauseMs(0, { random: () => 0.999_999 })).toBeLessThan(1200.001);
  });
});

describe('exits', () => {
  it('gives every ending a code of its own', () => {
    const codes = Object.values(exits).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it('tells an error to people and to scripts', () => {
    const error = new CommandError('refused', 'no', { code: 'role_required', hint: 'ask' });
    expect(errorLines(error)).toEqual(['turnout: no (role_required)', '  next: ask']);
    expect(JSON.parse(errorJson(error))).toEqual({
      error: { exit: 2, code: 'role_required', message: 'no', hint: 'ask' },
    });
  });
});

describe('parsePosition', () => {
  it('tells a seq from a cursor', () => {
    expect(parsePosition(undefined)).toEqual({});
    expect(parsePosition('earliest')).toEqual({ cursor: 'earliest' });
    expect(parsePosition('42')).toEqual({ lastSeq: 42 });
    expect(parsePosition('c1.x')).toEqual({ cursor: 'c1.x' });
  });
});

describe('what others wrote', () => {
  it('cannot drive the terminal', () => {
    expect(printable('a\u001b[2Jb\u009bc\nd')).toBe('a\\u001b[2Jb\\u009bc\\u000ad');
    const timestamp = '2026-01-01T00:00:00.000Z';
    const event = { id: 'e', service: 'chat', type: 'x\u001b]0;y', timestamp, payload: 'z' };
    expect(eventLine(event)).toBe('00:00:00.000 live   chat x\\u001b]0;y "z"');
  });
});

describe('the kill file', () => {
  it('appears whole, keeps who was first, and leaves nothing behind', () => {
    const path = join(folder, 'kill');
    expect(standingKillFile(path)).toBeUndefined();
    expect(makeKillFile(path, 'ann: errors', 'draft-1')).toBe(true);
    expect(makeKillFile(path, 'bob: me too', 'draft-2')).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('ann: errors\n');
    expect(readdirSync(folder)).toEqual(['kill']);
    expect(removeKillFile(path)).toBe(true);
    expect(removeKillFile(path)).toBe(false);
  });

  it('fails where its folder does not exist', () => {
    expect(() => makeKillFile(join(folder, 'none', 'kill'), 'x', 'draft')).toThrow(/ENOENT/);
  });
});

describe('tokens', () => {
  const claims = { sub: 'ann', org: 'acme', exp: 2_000_000_000 };

  it('are not signed with a secret or with claims that no gateway would take', async () => {
    await expect(mintToken({ secret: undefined }, claims)).rejects.toThrow(/TURNOUT_JWT_SECRET is not set/);
    await expect(mintToken({ secret: 'long-enough-as-a-secret' }, { ...claims, org: 'a b' })).rejects.toThrow(
      /org/,
    );
  });

  it('carry the issuer and the audience that the gateway asks for', async () => {
    const secret = 'long-enough-as-a-secret';
    const asked = { TURNOUT_JWT_ISSUER: 'us', TURNOUT_JWT_AUDIENCE: 'realtime, web' };
    const config = readConfig({ TURNOUT_JWT_SECRET: secret, ...asked });
    const auth = createAuthenticator(config, systemClock);
    const inAnHour = { ...claims, exp: Math.floor(Date.now() / 1000) + 3600 };
    const made = await mintToken({ secret, issuer: 'us', audience: ['web'] }, inAnHour);
    expect(await auth.verifyToken(made.token)).toMatchObject({ sub: 'ann' });
    const { token } = await mintToken({ secret }, inAnHour);
    await expect(auth.verifyToken(token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('are shown with what is wrong with them', async () => {
    const nowMs = Date.now();
    const problemsOf = (token: string) => inspectToken(token, nowMs).problems;
    expect(problemsOf(await makeToken())).toEqual([]);
    expect(problemsOf(await makeToken({ exp: 1 }))).toEqual([expect.stringContaining('expired')]);
    expect(problemsOf(makeUnsignedToken())).toEqual([expect.stringContaining('alg')]);
    expect(() => problemsOf('abc')).toThrow(/no JWT/);
  });
});
