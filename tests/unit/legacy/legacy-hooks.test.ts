/** A poll that was held here and goes to the old backend after all is asked there for no longer than its client still waits. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { profileSchema } from '../../../schema/profile.ts';
import { systemClock } from '../../../src/clock.ts';
import { LegacyStands } from '../../../src/http/legacy-hooks.ts';
import { encodeCursor } from '../../../src/log/cursor.ts';
import { createMemoryLog } from '../../../src/log/memory-log.ts';

it('has an opaque cursor of its own left out, and the rest of the wait written in', async () => {
  const profile = profileSchema.parse({
    name: 'acme',
    match: { path: '/feed' },
    upstream: 'http://backend:3000',
    auth: { from: 'bearer', jwt: { user: '$.sub', org: '$.org' } },
    request: {
      cursor: { in: 'query', name: 'since', format: 'opaque', absent: 'head' },
      wait: { in: 'query', name: 'hold', unit: 's', default: 30, max: 60 },
      services: { fixed: ['updates'] },
    },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { updates: '$events', next: '$cursor' } },
      event: { kind: '$.type' },
    },
  });
  const bounds = { retentionMs: 3_600_000, retentionEvents: 1e6, retentionBytes: 1e9 };
  const log = createMemoryLog({ clock: systemClock, ...bounds });
  const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  let isFed = true;
  const stands = new LegacyStands({
    profiles: [profile],
    decider: { servesLegacy: () => true, servesAnyLegacy: () => true },
    longPoll: {
      mustClose: false,
      async hold() {
        isFed = false;
        const state = { transport: 'long-poll', assignment: 1, reset: undefined, ephemeral: [] } as const;
        return { chunk: undefined, state: { ...state, at: head, hasMore: false } };
      },
    },
    log,
    clock: systemClock,
    authenticator: {
      verifiedClaims: async () => ({
        payload: { sub: 'ann', org: 'acme' },
        expiresAtMs: systemClock.now() + 3_600_000,
      }),
    },
    isFed: () => isFed,
    onAsked: () => undefined,
    metrics: { unserved: () => undefined, shadowed: () => undefined },
  });
  const asked = async (url: string): Promise<string | undefined> => {
    isFed = true;
    const request = { url, headers: { authorization: 'Bearer t' } } as IncomingMessage;
    const poll = { profile, request, response: {} as ServerResponse };
    expect(await stands.serve(poll, async () => undefined)).toBeUndefined();
    return (await stands.onward(poll, async () => undefined))?.url;
  };
  const own = encodeCursor({ ...head, seq: 0 });
  expect(await asked(`/feed?since=${own}&hold=59.5`)).toBe('/feed?hold=60');
  expect(await asked(`/feed?hold=59.5`)).toBe('/feed?hold=60');
  await stands.close();
});
