/**
 * Broken code that the suite must catch: each row takes one guard away and names the test that goes red. A row whose
 * text no longer stands in its file, exactly once, fails: a guard that moved must be followed here.
 */
export interface Mutation {
  readonly name: string;
  /** From the root. */
  readonly file: string;
  /** Exact text, found once in the file. */
  readonly find: string;
  readonly replace: string;
  /** File filter, as vitest takes it. */
  readonly test: string;
  /** Text that the full name of the red test contains. */
  readonly expectRed: string;
}

export const mutations: readonly Mutation[] = [
  {
    name: 'the generator overwrites what is frozen',
    file: 'schema/generate.ts',
    find: "if (problems.length > 0) throw new Error(problems.join('\\n'));",
    replace: '',
    test: 'tests/contract/schema-lock',
    expectRed: 'writes nothing when a frozen file would change',
  },
  {
    name: 'attach before read: the head is read before the tail is heard',
    file: 'src/hub/feed.ts',
    find: `    const tail = await deps.log.tail(org, (message) => feed.receive(message));
    try {
      const { head } = await deps.pages.readNow(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 });`,
    replace: `    const { head } = await deps.pages.readNow(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
    const tail = await deps.log.tail(org, (message) => feed.receive(message));
    try {`,
    test: 'tests/unit/hub.test.ts',
    expectRed: 'loses nothing that is appended while it opens',
  },
  {
    name: 'the chain check: a message is placed wherever the feed stands',
    file: 'src/hub/feed.ts',
    find: 'if (isSamePlace(message.previous, this.head)) {',
    replace: 'if (message.entries.length > 0) {',
    test: 'tests/unit/hub.test.ts',
    expectRed: 'fills a gap in its tail from the log',
  },
  {
    name: 'gap fill: what a tail missed is not read',
    file: 'src/hub/feed.ts',
    find: `    this.deps.onRepair(this.org, why);
    await this.readOn();`,
    replace: '    this.deps.onRepair(this.org, why);',
    test: 'tests/unit/hub.test.ts',
    expectRed: 'fills a gap in its tail from the log',
  },
  {
    name: 'single flight: each reader reads pages of its own',
    file: 'src/hub/pages.ts',
    find: 'if (known !== undefined) return known;',
    replace: '',
    test: 'tests/unit/pages.test.ts',
    expectRed: 'cost the log its pages',
  },
  {
    name: 'newer tickets: a node refuses what it has not heard of',
    file: 'src/rollout/admission.ts',
    find: 'ticket.assignment > decision.assignment && !brakes',
    replace: 'ticket.assignment < 0 && !brakes',
    test: 'tests/e2e/agree.test.ts',
    expectRed: 'is read before a newer ticket is refused',
  },
  {
    name: 'older rules: a backup takes the place of what a node holds',
    file: 'src/rollout/redis-rules-store.ts',
    find: '    if (await this.document.putBack(held))',
    replace: `    if (stored !== undefined && stored.version < held.version) {
      this.held = undefined;
      this.adopt(stored);
    } else if (await this.document.putBack(held))`,
    test: 'tests/e2e/agree.test.ts',
    expectRed: 'the old percentage comes back to nobody',
  },
  {
    name: 'unkill: a node that returns late kills again',
    file: 'src/rollout/transitions.ts',
    find: 'new Set([...rules.kills.map(({ id }) => id), ...rules.unkilled]);',
    replace: 'new Set([...rules.kills.map(({ id }) => id)]);',
    test: 'tests/e2e/kill-fleet.test.ts',
    expectRed: 'nor a kill whose answer it never got',
  },
  {
    name: 'bounce: the SDK tries a killed node again and again',
    file: 'clients/js/transports/websocket.ts',
    find: "('kill_switch' satisfies Code)",
    replace: "('draining' satisfies Code)",
    test: 'tests/e2e/kill-bounce.test.ts',
    expectRed: 'is refused once by a killed node',
  },
  {
    name: 'drain: a poll that is sent back is answered at once, over and over',
    file: 'src/transports/long-poll.ts',
    find: 'return this.isDraining ? whileDrainingMs : Number.POSITIVE_INFINITY;',
    replace: 'return this.isDraining ? whileDrainingMs * 0 : Number.POSITIVE_INFINITY;',
    test: 'tests/e2e/drain.test.ts',
    expectRed: 'is sent back to it while it drains',
  },
  {
    name: 'cursor in ping: a ping names the head, not what was sent',
    file: 'src/transports/connection.ts',
    find: 'frames.ping(this.live.reader.position',
    replace: 'frames.ping(this.live.feed.head',
    test: 'tests/e2e/stream-order.test.ts',
    expectRed: 'names in a ping what was sent before it',
  },
  {
    name: 'the tag check: any cursor of the epoch is good',
    file: 'src/log/org-stream.ts',
    find: "return start.at === 'cursor' && start.position.tag !== place.tag ? 'fork' : place;",
    replace: 'return place;',
    test: 'tests/conformance/memory-log',
    expectRed: 'fork',
  },
  {
    name: 'the tag check in Redis: any cursor of the epoch is good',
    file: 'src/log/lua/read.lua',
    find: "if mode == 'cursor' and start.tag ~= tag then",
    replace: 'if false then',
    test: 'tests/conformance/redis-log.test.ts',
    expectRed: 'says fork to a cursor with another tag',
  },
  {
    name: 'the epoch check in Redis: a cursor of another incarnation is good',
    file: 'src/log/lua/read.lua',
    find: "if epoch ~= '' and epoch ~= meta[1] then",
    replace: 'if false then',
    test: 'tests/conformance/redis-log.test.ts',
    expectRed: 'says epoch to a cursor of another org',
  },
  {
    name: 'idempotency in Redis: an id that is known is stored again',
    file: 'src/log/lua/append.lua',
    find: '  if first then',
    replace: '  if false then',
    test: 'tests/conformance/redis-log.test.ts',
    expectRed: 'answers a repeated id with the seq of the first',
  },
  {
    name: 'the head comparison: what differs is told to nobody',
    file: 'src/log/redis-heads.ts',
    find: "org.tell({ kind: 'interrupted' });",
    replace: '',
    test: 'tests/conformance/redis-log-faults.test.ts',
    expectRed: 'is told so without any reconnect, by its head',
  },
  {
    name: 'the probe: a connection that hears nothing is left as it is',
    file: 'src/log/redis-link.ts',
    find: 'redis.disconnect(true);\n      return true;',
    replace: 'return false;',
    test: 'tests/conformance/redis-log-faults.test.ts',
    expectRed: 'is made anew when it hears nothing',
  },
  {
    name: 'a new epoch: what is left of the old one stays',
    file: 'src/log/lua/begin.lua',
    find: "redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])",
    replace: '',
    test: 'tests/conformance/redis-log-faults.test.ts',
    expectRed: 'drops what is left of an org',
  },
  {
    name: 'the ring check: a reader is fed by a ring of another history',
    file: 'src/hub/group.ts',
    find: "if (!this.ring.joins(position)) return 'behind';",
    replace: "if (!this.ring.covers(seq)) return 'behind';",
    test: 'tests/unit/feed-restart.test.ts',
    expectRed: "gives a reader that stands in 'a fork' nothing of what the log lost",
  },
  {
    name: 'the page check: a page confirms any cursor of its epoch',
    file: 'src/hub/pages.ts',
    find: "if (start.at === 'cursor' && start.position.tag !== from.tag) return undefined;",
    replace: '',
    test: 'tests/unit/pages.test.ts',
    expectRed: 'leave every refusal to the log',
  },
  {
    name: 'the ordered queue: control frames overtake events',
    file: 'src/transports/outbox.ts',
    find: `    this.traffic.frames[kind] += 1;
    this.socket.write(frame);`,
    replace: `    this.traffic.frames[kind] += 1;
    setImmediate(() => this.socket.write(frame));`,
    test: 'tests/e2e/stream-order.test.ts',
    expectRed: 'acknowledges before the first event, however many wait',
  },
  {
    name: 'the cut at `to`: what comes before it is sent behind it',
    file: 'src/hub/chunk.ts',
    find: `      closeShared();
      parts.push(makePart(new Set(entry.to)`,
    replace: `      parts.push(makePart(new Set(entry.to)`,
    test: 'tests/unit/hub.test.ts',
    expectRed: 'receives an event with `to` in its place',
  },
  {
    name: 'repeat filter: the SDK hands over whatever comes',
    file: 'clients/js/cursor.ts',
    find: 'return seen === undefined ? events : events.filter(({ seq }) => seq === undefined || seq > seen);',
    replace: 'return seen === undefined ? events : events;',
    test: 'tests/unit/sdk/machine-property',
    expectRed: 'hands every event over once',
  },
  {
    name: 'epoch check: the SDK takes another log for its own',
    file: 'clients/js/cursor.ts',
    find: 'return position?.epoch !== undefined && position.epoch !== place.epoch;',
    replace: 'return false;',
    test: 'tests/unit/sdk/machine-property',
    expectRed: 'hands every event over once',
  },
  {
    name: 'epoch check: Redis emptied in the middle of a hand-over',
    file: 'clients/js/cursor.ts',
    find: 'return position?.epoch !== undefined && position.epoch !== place.epoch;',
    // A shape that compiles: end-to-end tests run what was built.
    replace: "return position?.epoch === '' && position.epoch !== place.epoch;",
    test: 'tests/e2e/emptied-redis.test.ts',
    expectRed: 'is told reset: epoch once',
  },
  {
    name: 'break after ack: the SDK closes the old transport when it opens the new one',
    file: 'clients/js/connecting.ts',
    find: "return { state: { phase: 'moving', memory, live, next: link }, effects };",
    replace:
      "return { state: { phase: 'moving', memory, live, next: link }, effects: [{ do: 'close', link: live.id }, ...effects] };",
    test: 'tests/unit/sdk/machine-property',
    expectRed: 'hands every event over once',
  },
  {
    name: 'single writer: the SDK keeps the old transport after the ack',
    file: 'clients/js/connecting.ts',
    find: "old === undefined ? [] : [{ do: 'close', link: old.id }]",
    replace: '[]',
    test: 'tests/unit/sdk/machine-property',
    expectRed: 'hands every event over once',
  },
  {
    name: 'cursor in migrate: the SDK goes on where its last event stood',
    file: 'clients/js/receiving.ts',
    find: 'position: before.position && { ...before.position, cursor: event.cursor },',
    replace: 'position: before.position,',
    test: 'tests/unit/sdk/machine.test.ts',
    expectRed: 'begins where `migrate` stands',
  },
  {
    name: 'cursor after a move: the SDK polls from where it once began',
    file: 'clients/js/driver.ts',
    find: 'return { cursor: position?.cursor, assignment, audit, token: this.negotiation.token };',
    replace:
      'return { cursor: this.parts.cursor ?? position?.cursor, assignment, audit, token: this.negotiation.token };',
    test: 'tests/e2e/heart-replay.test.ts',
    expectRed: 'replays nothing after a move',
  },
  {
    name: 'subscribe waits for the hand-over: the SDK tells the old transport',
    file: 'clients/js/machine.ts',
    find: `    closed: closedWhileMoving,
    start: keep,
    stop,
    online: calm,
    services: want,`,
    replace: `    closed: closedWhileMoving,
    start: keep,
    stop,
    online: calm,
    services: (state, event) => ({
      state: { ...state, memory: wanting(state.memory, event) },
      effects: [{ do: 'services', link: state.live.id, services: [...state.memory.services, ...event.add] }],
    }),`,
    test: 'tests/unit/sdk/machine.test.ts',
    expectRed: 'tells the services only once the hand-over is over',
  },
  {
    name: 'due times: each node has moments of its own',
    file: 'src/rollout/due-times.ts',
    find: '(murmur32(`${key}:${userId(user)}`, dueSeed) / 2 ** 32) * windowMs',
    replace: 'Math.random() * windowMs',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'is the same moment on two nodes',
  },
  {
    name: 'due times: another hash, which leaves out the change',
    file: 'src/rollout/due-times.ts',
    find: 'murmur32(`${key}:${userId(user)}`, dueSeed)',
    replace: 'murmur32(userId(user), dueSeed)',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'is another moment at another change',
  },
  {
    name: 'due times: the window of the change is another on each node',
    file: 'src/rollout/due-times.ts',
    find: '        return dueBy(state.change, user);',
    replace:
      '        return dueBy({ ...state.change, windowMs: moveWindowOf(this.parts.pace, this.parts.connectedHere().streams) }, user);',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'is the same moment on two nodes',
  },
  {
    name: 'due times: the window is ignored',
    file: 'src/rollout/mover.ts',
    find: '    if (dueMs <= dueTimes.nowMs()) return false;',
    replace: '    if (dueMs <= Number.POSITIVE_INFINITY) return false;',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'moves people at the rate',
  },
  {
    name: 'due times: a later write puts everybody off',
    file: 'src/rollout/due-times.ts',
    find: '        return dueBy(state.change, user);',
    replace: '        return dueBy(this.past[0]?.change ?? state.change, user);',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'puts it off',
  },
  {
    name: 'due times: a later write puts everybody off, on two nodes',
    file: 'src/rollout/due-times.ts',
    find: '        return dueBy(state.change, user);',
    replace: '        return dueBy(this.past[0]?.change ?? state.change, user);',
    test: 'tests/e2e/moves.test.ts',
    expectRed: 'moves each user at one moment on both nodes',
  },
  {
    name: 'pause: it holds a rollback',
    file: 'src/rollout/decider.ts',
    find: 'return !ungated.has(reason) && rolloutPercent(rules) > 0;',
    replace: 'return true || ungated.has(reason) || rolloutPercent(rules) > 0;',
    test: 'tests/unit/rollout/mover',
    expectRed: 'does not hold a rollback',
  },
  {
    name: 'pause: its end puts a rollback off',
    file: 'src/rollout/pacing.ts',
    find: 'const heldMs = isRollback ? 0 : Math.max',
    replace: 'const heldMs = Math.max',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'puts no rollback off',
  },
  {
    name: 'pause: what it held falls due at once',
    file: 'src/rollout/pacing.ts',
    find: 'changedAt: change.changedAt + heldMs };',
    replace: 'changedAt: change.changedAt };',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'they go on where they stood',
  },
  {
    name: 'kill: its window does not grow with its polls',
    file: 'src/rollout/pacing.ts',
    find: 'Math.max(killWindowMs, Math.round((users / pollCapacity) * 1000))',
    replace: 'Math.min(killWindowMs, Math.round((users / pollCapacity) * 1000))',
    test: 'tests/unit/rollout/due-times',
    expectRed: 'has its window, or the time that the polls take',
  },
  {
    name: 'drain: held polls are answered in one burst',
    file: 'src/transports/long-poll.ts',
    find: 'await inTurns([...this.held], withinMs * toldPart,',
    replace: 'await inTurns([...this.held], withinMs * toldPart * 0,',
    test: 'tests/e2e/moves.test.ts',
    expectRed: 'has sent all elsewhere before its time is up',
  },
  {
    name: 'drain: streams are told in one burst',
    file: 'src/transports/websocket.ts',
    find: 'await inTurns([...this.connections], withinMs * toldPart,',
    replace: 'await inTurns([...this.connections], withinMs * toldPart * 0,',
    test: 'tests/e2e/drain.test.ts',
    expectRed: 'streams advised and closed 1012',
  },
  {
    name: 'drain: an answered poll keeps its connection',
    file: 'src/transports/long-poll.ts',
    find: 'return { body, mustClose: this.isDraining };',
    replace: 'return { body, mustClose: false };',
    test: 'tests/e2e/moves.test.ts',
    expectRed: 'has sent all elsewhere before its time is up',
  },
  {
    name: 'drain: who ignored the advice is cut',
    file: 'src/transports/websocket.ts',
    find: `    for (const connection of this.connections) connection.end('draining');
`,
    replace: '',
    test: 'tests/e2e/moves.test.ts',
    expectRed: 'has sent all elsewhere before its time is up',
  },
  {
    name: 'append, then checkpoint: a bridge keeps its place before the append',
    file: 'src/legacy/bridge-feed.ts',
    find: `    await Promise.all([...byOrg].map(([org, events]) => this.store(batch.lane, org, events)));
    if (batch.position !== undefined) await this.keep(batch.lane, batch.position);`,
    replace: `    if (batch.position !== undefined) await this.keep(batch.lane, batch.position);
    await Promise.all([...byOrg].map(([org, events]) => this.store(batch.lane, org, events)));`,
    test: 'tests/contract/bridge-sources.test.ts',
    expectRed: 'keeps its place only once the append is done',
  },
  {
    name: 'the lease check: a bridge appends whoever has the lease',
    file: 'src/legacy/bridge-feed.ts',
    find: 'return lease.isValid && lease.turn === this.turn;',
    replace: 'return lease.isValid || this.turn >= 0;',
    test: 'tests/contract/bridge-sources.test.ts',
    expectRed: 'appends nothing once its clock says that the lease ran out',
  },
  {
    name: 'the tail of the log: a bridge trusts that the log knows every id',
    file: 'src/legacy/bridge-feed.ts',
    find: 'const known = tail;',
    replace: 'const known = new Set<string>();',
    test: 'tests/chaos/bridge.test.ts',
    expectRed: 'repeats nothing when it goes on from an older place',
  },
];
