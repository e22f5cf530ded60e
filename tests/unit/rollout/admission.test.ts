import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ticket } from '../../../src/auth/identity.ts';
import { Announced } from '../../../src/rollout/moves/due-times.ts';
import { pause, setEnabled, setList, setPercent } from '../../../src/rollout/rules/transitions.ts';
import type { Admission } from '../../../src/transports/admission.ts';
import { by, identity, stage, type Stage } from './support.ts';

let on: Stage;
let admission: Admission;
beforeEach(() => {
  on = stage({ REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100' });
  admission = on.rollout.admission;
});
afterEach(() => on.rollout.close());

const alice = identity('alice');
const ticket = (assignment: number, more: Partial<Ticket> = {}): Ticket => ({
  identity: alice,
  session: 's',
  supports: ['websocket', 'long-poll'],
  assignment,
  override: undefined,
  ...more,
});

describe('a stream', () => {
  it('without ticket is admitted exactly when the decision is websocket', async () => {
    const assignment = admission.assignment();
    expect(await admission.stream(alice, undefined)).toEqual({
      isAdmitted: true,
      cohort: 'canary',
      assignment,
    });
    await on.rollout.store.change(setPercent(0), by);
    expect(await admission.stream(alice, undefined)).toEqual({
      isAdmitted: false,
      code: 'transport_not_assigned',
    });
  });

  it('with a ticket is refused by rules that are as new or newer', async () => {
    const { version } = await on.rollout.store.change(setEnabled(false), by);
    for (const assignment of [version, version - 1])
      expect(await admission.stream(alice, ticket(assignment))).toMatchObject({ isAdmitted: false });
  });

  it('with a ticket newer than the rules here is not refused by them', async () => {
    const { version } = await on.rollout.store.change(setList('denylist', ['alice']), by);
    expect(await admission.stream(alice, ticket(version + 1))).toEqual({
      isAdmitted: true,
      cohort: 'canary',
      assignment: version + 1,
    });
  });

  it('obeys a kill at any version', async () => {
    const { version } = await on.rollout.control.kill(by);
    for (const given of [undefined, ticket(version - 1), ticket(version + 100)])
      expect(await admission.stream(alice, given)).toEqual({ isAdmitted: false, code: 'kill_switch' });
  });

  it('is decided from what the ticket carries', async () => {
    const now = admission.assignment();
    expect(await admission.stream(alice, ticket(now, { supports: ['long-poll'] }))).toMatchObject({
      isAdmitted: false,
      code: 'transport_not_assigned',
    });
    // An override that the operator doesn't permit decides nothing.
    expect(await admission.stream(alice, ticket(now, { override: 'long-poll' }))).toMatchObject({
      isAdmitted: true,
    });
  });

  it('is refused by a capped node, however new its ticket', async () => {
    const capped = stage({ REALTIME_STREAMING_V2: 'false' });
    const refused = { isAdmitted: false, code: 'node_capped' };
    expect(await capped.rollout.admission.stream(alice, undefined)).toEqual(refused);
    expect(await capped.rollout.admission.stream(alice, ticket(Number.MAX_SAFE_INTEGER))).toEqual(refused);
    await capped.rollout.close();
  });
});

describe('a poll', () => {
  const sdk = { assignment: 1, session: 's' };

  it('is told what its user is due, and may move up once for each session and assignment', () => {
    expect(admission.poll(alice, sdk)).toEqual({
      transport: 'websocket',
      cohort: 'canary',
      assignment: admission.assignment(),
      mayMoveUp: true,
    });
    expect(admission.poll(alice, sdk)).toMatchObject({ transport: 'websocket', mayMoveUp: false });
    expect(admission.poll(alice, { assignment: 1, session: 't' }).mayMoveUp).toBe(true);
  });

  it('of a legacy client, or of one that has followed, is held as usual', () => {
    const assignment = admission.assignment();
    expect(admission.poll(alice, { assignment: undefined, session: undefined }).mayMoveUp).toBe(false);
    expect(admission.poll(alice, { assignment, session: 's' }).mayMoveUp).toBe(false);
  });

  it('says long-poll while moves are held, and while killed', async () => {
    await on.rollout.store.change(pause('operator'), by);
    expect(admission.poll(alice, sdk)).toMatchObject({ transport: 'long-poll', mayMoveUp: false });
    await on.rollout.control.kill(by);
    expect(admission.poll(alice, sdk)).toMatchObject({ transport: 'long-poll', cohort: 'control' });
  });
});

it('remembers who was told within a bound', () => {
  const announced = new Announced(2);
  expect(announced.claim(alice, 'a', 5)).toBe(true);
  expect(announced.claim(alice, 'a', 4)).toBe(false);
  expect(announced.claim(alice, 'b', 5)).toBe(true);
  expect(announced.claim(alice, 'c', 5)).toBe(true);
  expect(announced.claim(alice, 'a', 5)).toBe(true);
  expect(announced.claim(alice, 'c', 5)).toBe(false);
});
