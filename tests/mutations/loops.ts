/** Guards of loops: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const loopsMutations: readonly Mutation[] = [
  {
    name: 'correctness: a walk over all sessions is one long step',
    file: 'src/async/slices.ts',
    find: '    if (!slice.takes()) {',
    replace: '    if (!slice.takes() && clock.monotonic() < 0) {',
    test: 'tests/correctness/no-long-loop',
    expectRed: 'a scrape does, and shows who is connected',
  },
  {
    name: 'correctness: a changed percentage decides everybody in one step',
    file: 'src/rollout/moves/mover.ts',
    find: '    while (slice.takes()) {',
    replace: '    while (slice.takes() || !this.isClosed) {',
    test: 'tests/correctness/no-long-loop',
    expectRed: 'a change of the percentage and a kill do',
  },
  {
    name: 'correctness: an admin answer looks at every session',
    file: 'src/http/admin-fleet.ts',
    find: '  const cohorts = cohortsOf(assigned, sessions.connected());',
    replace: `  for (const session of sessions.all()) session.behind();
  const cohorts = cohortsOf(assigned, sessions.connected());`,
    test: 'tests/correctness/no-long-loop',
    expectRed: 'an admin answer visits few of them at a time',
  },
  {
    name: 'correctness: a session that has gone is still counted in a cohort',
    file: 'src/rollout/moves/cohort-counts.ts',
    find: '    this.displaced[session.cohort].delete(session);',
    replace: '    void session;',
    test: 'tests/correctness/kept-counts',
    expectRed: 'cohorts, assigned and connected',
  },
  {
    name: 'correctness: moves that were called off are still told',
    file: 'src/rollout/moves/schedule.ts',
    find: '    this.moves[session.transport].waiting -= 1;',
    replace: '    void this.moves[session.transport].waiting;',
    test: 'tests/correctness/kept-counts',
    expectRed: 'moves under way, by direction',
  },
  {
    name: 'correctness: the first session waits for the slots of the weeks before it',
    file: 'src/rollout/moves/schedule.ts',
    find: 'upTo - this.next < this.slots.size',
    replace: 'upTo - this.next < Number.MAX_SAFE_INTEGER',
    test: 'tests/correctness/due-at-once',
    expectRed: 'the first session after a long time of none',
  },
  {
    name: 'correctness: all who fall due at once are taken in one call',
    file: 'src/rollout/moves/mover.ts',
    find: '    return this.schedule.take(this.parts.dueTimes.nowMs()) ?? this.waiting.pop();',
    replace: `    const due: MovableSession[] = [];
    const nowMs = this.parts.dueTimes.nowMs();
    for (let one = this.schedule.take(nowMs); one !== undefined; one = this.schedule.take(nowMs)) due.push(one);
    this.waiting.push(...due);
    return this.waiting.pop();`,
    test: 'tests/correctness/due-at-once',
    expectRed: '150,000 sessions that fall due in one moment all move',
  },
  {
    name: 'correctness: deadlines of one moment are met in one step',
    file: 'src/transports/wheel.ts',
    find: '      if (!slice.takes()) {',
    replace: '      if (!slice.takes() && this.due.length === 0) {',
    test: 'tests/correctness/due-at-once',
    expectRed: 'a crowd whose deadlines end in one moment',
  },
  {
    name: 'correctness: a drain without time tells everybody in one step',
    file: 'src/transports/turns.ts',
    find: '    if (!slice.takes()) {',
    replace: '    if (!slice.takes() && all.length === 0) {',
    test: 'tests/correctness/due-at-once',
    expectRed: 'a drain that has no time left tells a crowd in pieces',
  },
  {
    name: 'correctness: rules that have not changed are sent again at every read',
    file: 'src/rollout/rules/lua/read.lua',
    find: 'if stored[1] == ARGV[1] and stored[2] == ARGV[2] then return { now } end',
    replace: '',
    test: 'tests/correctness/unchanged-rules',
    expectRed: 'a document of 10,000 names is not sent again',
  },
];
