/** Nodes that share rules in Redis decide alike: at once after a change, and never by less than a client has seen. */
import { describe, expect } from 'vitest';
import { type Identity, ServiceClaim } from '../../src/auth/identity.ts';
import { rolloutPercent } from '../../src/rollout/rules/rules.ts';
import { setEnabled, setPercent } from '../../src/rollout/rules/transitions.ts';
import { itWithFleet, type RolloutFleet } from '../support/rollout-fleet.ts';
import {
  beginOver,
  deaf,
  openOver,
  openRolloutNode,
  type RolloutNode,
  unprompted,
} from '../support/rollout-node.ts';
import { TcpLink } from '../support/tcp-link.ts';
import { until } from '../support/until.ts';

const it = itWithFleet(false);
const by = { by: 'token' as const, who: 'acme/sre', reason: 'test' };
const users = Array.from({ length: 10_000 }, (_, at) => ({ org: `org-${at % 37}`, sub: `user-${at}` }));
const env = { REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '10' };

const transports = ({ rollout }: RolloutNode): string[] =>
  users.map((user) => rollout.decider.decide(user).transport);
const versionOf = ({ rollout }: RolloutNode): number => rollout.decider.assignment;
const percentOf = ({ rollout }: RolloutNode): number | undefined => {
  const rules = rollout.store.current();
  return rules && rolloutPercent(rules);
};

// Alone: so much deciding in one process would keep the nodes of other tests from hearing Redis in time.
it('two nodes give ten thousand users the same decision at once, and 10 % → 50 % takes nobody back [P7]', async ({
  fleet,
}) => {
  const [a, b] = await fleet.pair(env);
  const before = transports(a);
  expect(transports(b)).toEqual(before);
  const answer = await a.rollout.control.change(setPercent(50), by);
  expect(answer).toEqual({
    version: versionOf(a),
    written: true,
    acks: { 'node-a': answer.version, 'node-b': answer.version },
    laggards: [],
  });
  const after = transports(a);
  expect(transports(b)).toEqual(after);
  const taken = users.filter((_, at) => before[at] === 'websocket' && after[at] === 'long-poll');
  expect(taken).toEqual([]);
  const share = after.filter((one) => one === 'websocket').length / users.length;
  expect(share).toBeGreaterThan(0.47);
  expect(share).toBeLessThan(0.53);
});

describe.concurrent('two nodes', () => {
  it('change at the same time without losing either change, and a stale If-Match is told who was first', async ({
    fleet,
  }) => {
    const [a, b] = await fleet.pair(env);
    const first = versionOf(a);
    await Promise.all([
      ...Array.from({ length: 5 }, (_, at) => a.rollout.control.change(setPercent(at + 1), by)),
      ...Array.from({ length: 5 }, () => b.rollout.control.change(setEnabled(true), by)),
    ]);
    expect([versionOf(a), versionOf(b)]).toEqual([first + 10, first + 10]);
    await expect(b.rollout.control.change(setPercent(1), by, first)).rejects.toMatchObject({
      code: 'version_conflict',
      message: expect.stringContaining('acme/sre wrote it') as string,
    });
    const trail = await b.rollout.store.audit(100);
    expect(trail.map((entry) => entry.version)).toEqual(
      Array.from({ length: 11 }, (_, at) => first + 10 - at),
    );
    expect(await a.rollout.store.audit(100)).toEqual(trail);
  });

  it('name the laggard while it is silent for less than 5 s, and then stop waiting for it', async ({
    fleet,
  }) => {
    const [a, b] = await fleet.pair(env);
    b.link.cut();
    // Answered later than 5 s after the cut it would name nobody.
    const answer = await a.rollout.control.change(setPercent(20), by);
    expect(answer).toMatchObject({ written: true, laggards: ['node-b'] });
    await until(
      async () => (await a.rollout.fleet.acknowledged(answer.version, 0)).laggards.length,
      'node-b to be given up',
      0,
    );
    b.link.mend();
    await until(
      () => versionOf(b),
      'node-b to catch up',
      (found) => found === answer.version,
    );
    await until(
      async () => 'node-b' in (await a.rollout.fleet.acknowledged(answer.version, 0)).acks,
      'node-b to be told of again',
    );
  });

  it('tell of each other’s caps, and forget a node that ended', async ({ fleet }) => {
    const a = await fleet.open('node-a', env);
    const b = await fleet.open('node-b', { REALTIME_STREAMING_V2: 'false' });
    await until(
      async () => (await a.rollout.fleet.acknowledged(1, 0)).capped.length,
      'the capped node to report',
      1,
    );
    expect(await a.rollout.control.change(setPercent(11), by)).toMatchObject({
      capped: [{ node: 'node-b', variables: ['REALTIME_STREAMING_V2'] }],
    });
    await b.rollout.close();
    expect(Object.keys((await a.rollout.fleet.acknowledged(1, 0)).acks)).toEqual(['node-a']);
  });

  it('answer what a node of an older release asks, which keeps no question in Redis', async ({ fleet }) => {
    const a = await fleet.open('node-a', env);
    a.rollout.fleet.serve(() => 'here');
    const { client } = fleet.redis;
    const asked = JSON.stringify({ id: 'q1', from: 'node-old', question: { kind: 'counts' } });
    await until(() => client.publish('turnout:{!rules}:ask', asked), 'somebody to hear');
    const answers = () => client.lrange('turnout:{!rules}:answers:q1', 0, -1);
    await until(async () => (await answers()).length, 'an answer');
    expect(JSON.parse((await answers())[0] ?? '')).toEqual({ node: 'node-a', answer: 'here' });
  });

  it('that share an id are told of it, each in its log and its health; one that was started again is not', async ({
    fleet,
  }) => {
    const before = await fleet.open('node-a', env);
    await before.close();
    const twins = [await fleet.open('node-a', env), await fleet.open('node-a', env)];
    const isTold = ({ rollout, logged }: RolloutNode): boolean =>
      rollout.store.health().detail.includes("another living node has this node's id") &&
      logged.filter((line) => line.startsWith('another living node has this id')).length === 1;
    await until(() => twins.every(isTold), 'both to be told');
    expect(before.logged.filter((line) => line.startsWith('another living node'))).toEqual([]);
  });
});

describe.concurrent('what a client has seen', () => {
  it('is read before a newer ticket is refused, though the push was lost', async ({ fleet }) => {
    const [a, b] = await fleet.pair(env);
    const ticket = (assignment: number) => ({
      identity: { ...nobody, ...users[0] },
      session: 's',
      supports: ['websocket', 'long-poll'],
      assignment,
      override: undefined,
    });
    b.link.cut();
    const { version } = await a.rollout.control.change(setPercent(100), by);
    // Redis can't be read: the ticket is honoured by a node that knows of no such version.
    expect(await b.rollout.admission.stream(ticket(version).identity, ticket(version))).toEqual({
      isAdmitted: true,
      cohort: 'canary',
      assignment: version,
    });
    b.link.mend();
    await until(async () => {
      await b.rollout.store.refresh(version);
      return versionOf(b) === version;
    }, 'node-b to read');
    expect(await b.rollout.admission.stream(ticket(version).identity, ticket(version))).toMatchObject({
      isAdmitted: true,
      assignment: version,
    });
  });

  it('is never refused by a node one version behind, which has not been told [P7]', async ({ fleet }) => {
    const a = await fleet.open('node-a', env);
    const b = await openRolloutNode('node-b', fleet.redis.port, env, deaf, unprompted);
    fleet.nodes.push(b);
    const user = users.find((one) => b.rollout.decider.decide(one).transport === 'long-poll');
    for (const percent of [100, 99.99, 99.98]) {
      const before = versionOf(b);
      const { version } = await a.rollout.store.change(setPercent(percent), by);
      expect(versionOf(b)).toBe(before);
      const identity = { ...nobody, ...user };
      const ticket = {
        identity,
        session: 's',
        supports: ['websocket'],
        assignment: version,
        override: undefined,
      };
      expect(await b.rollout.admission.stream(identity, ticket)).toEqual({
        isAdmitted: true,
        cohort: 'canary',
        assignment: version,
      });
      expect(versionOf(b)).toBe(version);
    }
    const { version } = await a.rollout.store.change(setPercent(0), by);
    // A poll is answered by what the node holds, and makes it look.
    b.rollout.admission.poll({ ...nobody, ...user }, { assignment: version, session: 's' });
    await until(() => versionOf(b), 'the read', version);
  });

  it('costs four reads a second at most, whatever clients make up', async ({ fleet }) => {
    const a = await fleet.open('node-a', env);
    const asked = async (): Promise<number> => {
      const stats = await fleet.redis.client.info('commandstats');
      return Number(/cmdstat_hget:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    await a.rollout.store.refresh();
    const before = await asked();
    const began = performance.now();
    for (let wave = 0; wave < 8; wave += 1)
      await Promise.all(
        Array.from({ length: 50 }, () => a.rollout.store.refresh(versionOf(a) + 1000)).slice(0, 50),
      );
    const tookS = (performance.now() - began) / 1000;
    // One each 250 ms, one each 2 s by the clock, and one for the edges.
    expect((await asked()) - before).toBeLessThanOrEqual(Math.ceil(tookS * 4.5) + 2);
  });
});

describe.concurrent('the environment', () => {
  it('writes the first rules once, rewrites them when it has changed, and holds its peace after an operator', async ({
    fleet,
  }) => {
    const a = await fleet.open('node-a', env);
    const first = versionOf(a);
    expect(Math.abs(first - Date.now() / 1000)).toBeLessThan(60);
    const same = await fleet.open('node-b', env);
    expect(versionOf(same)).toBe(first);
    const changed = await fleet.open('node-c', { ...env, REALTIME_ROLLOUT_PERCENT: '20' });
    expect([versionOf(changed), percentOf(changed)]).toEqual([first + 1, 20]);
    expect(changed.logged.join()).toContain('the environment has changed');
    await until(() => percentOf(a), 'the push', 20);
    await a.rollout.control.change(setPercent(30), by);
    const late = await fleet.open('node-d', { ...env, REALTIME_ROLLOUT_PERCENT: '40' });
    expect([versionOf(late), percentOf(late)]).toEqual([first + 2, 30]);
    expect(late.logged.join()).toContain('these variables are not followed');
  });

  it('of a node that starts while Redis is away is written when Redis is there; until then long-poll', async ({
    fleet,
  }) => {
    const link = await TcpLink.open(fleet.redis.port);
    link.cut();
    const node = await openOver(link, 'node-a', env);
    fleet.nodes.push(node);
    expect(node.rollout.decider.decide({ org: 'acme', sub: 'alice' }).reason).toBe('flags-unavailable');
    expect(node.rollout.store.health().isUp).toBe(false);
    link.mend();
    await until(() => percentOf(node), 'the first rules', 10);
    await until(() => node.rollout.store.health().isUp, 'health');
  });
});

it.concurrent('a change told to a node that has only begun is written over what its environment says', async ({
  fleet,
}) => {
  const node = beginOver(await TcpLink.open(fleet.redis.port), 'node-a', env);
  fleet.nodes.push(node);
  const { version } = await node.rollout.control.change(setPercent(30), by);
  expect([version, percentOf(node)]).toEqual([versionOf(node), 30]);
  const lines = await node.rollout.store.audit(10);
  expect(lines.map(({ from, to }) => [from, to]).at(0)).toEqual([10, 30]);
});

describe.concurrent('a Redis that forgets', () => {
  const stored = async ({ redis }: RolloutFleet): Promise<string | null> =>
    redis.client.hget('turnout:{!rules}:document', 'version');

  it('emptied: gets the rules back', async ({ fleet }) => {
    const [a, b] = await fleet.pair(env);
    const { version } = await a.rollout.control.change(setPercent(70), by);
    await fleet.redis.restartEmpty();
    await until(
      () => stored(fleet),
      'the document in Redis',
      (found) => found === String(version),
    );
    expect([percentOf(a), percentOf(b)]).toEqual([70, 70]);
  });

  it('emptied, and a node that starts before the others are back writes its environment: the operator’s holds', async ({
    fleet,
  }) => {
    const [a, b] = await fleet.pair(env);
    const { version } = await a.rollout.control.change(setPercent(70), by);
    for (const node of [a, b]) node.link.cut();
    await fleet.redis.restartEmpty();
    // First rules are numbered by the second: theirs will be the higher number.
    await until(
      () => Date.now() / 1000,
      'the clock to pass the version',
      (found) => found > version + 1,
    );
    const c = await fleet.open('node-c', env);
    expect(percentOf(c)).toBe(10);
    expect(versionOf(c)).toBeGreaterThan(version);
    for (const node of [a, b]) node.link.mend();
    await until(() => [a, b, c].every((node) => percentOf(node) === 70), 'the operator’s percent everywhere');
    await until(() => new Set([a, b, c].map(versionOf)).size, 'one version', 1);
    expect(versionOf(c)).toBeGreaterThan(version + 1);
  });

  it('restored from an older backup: the old percentage comes back to nobody', async ({ fleet }) => {
    const [a, b] = await fleet.pair(env);
    await a.rollout.control.change(setPercent(60), by);
    await fleet.redis.snapshot();
    const { version } = await a.rollout.control.change(setPercent(0), by);
    const seen = new Set<number | undefined>();
    for (const node of [a, b]) node.rollout.store.subscribe((rules) => seen.add(rolloutPercent(rules)));
    await fleet.redis.restartRewound();
    await until(
      () => stored(fleet),
      'the newer document in Redis',
      (found) => found === String(version),
    );
    expect([percentOf(a), percentOf(b)]).toEqual([0, 0]);
    expect([...seen].filter((percent) => percent !== 0)).toEqual([]);
    // One of them put it back: the other may be without its connection still.
    await until(async () => {
      await b.rollout.store.refresh();
      return b.rollout.store.health().isUp;
    }, 'the one that is asked to have Redis back');
    expect((await b.rollout.control.change(setPercent(5), by)).version).toBe(version + 1);
    await until(
      () => versionOf(a),
      'the other to hear of it',
      (found) => found === version + 1,
    );
  });
});

it.concurrent('rules grown too old fail to long-poll where the operator says so, and come back', async ({
  fleet,
}) => {
  const node = await fleet.open('node-a', {
    ...env,
    TURNOUT_RULES_MAX_AGE_MS: '2500',
    TURNOUT_RULES_STALE: 'long-poll',
  });
  const held = await fleet.open('node-b', { ...env, TURNOUT_RULES_MAX_AGE_MS: '2500' });
  const user = users.find((one) => node.rollout.decider.decide(one).transport === 'websocket');
  if (user === undefined) throw new Error('nobody is on WebSocket');
  for (const one of [node, held]) one.link.cut();
  await until(() => node.rollout.decider.decide(user).reason, 'the rules to be lost', 'flags-unavailable');
  expect(held.rollout.decider.decide(user).reason).toBe('rollout');
  for (const one of [node, held]) one.link.mend();
  await until(() => node.rollout.decider.decide(user).reason, 'the rules to be known again', 'rollout');
});

const nobody: Identity = {
  org: 'acme',
  sub: 'nobody',
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  reads: new ServiceClaim(['*']),
  publishes: new ServiceClaim([]),
  roles: new Set(),
  producerOrgs: [],
};
