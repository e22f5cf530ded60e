/**
 * The nodes that share rules in Redis. Each says every second, and at once after new rules, that it lives and what it decides
 * by. Questions go out by pub/sub, and their answers are gathered from a short-lived list; a node that died is not waited for.
 */
import { z } from 'zod';
import { PacedRuns } from '../../async/paced-runs.ts';
import { nextTurn } from '../../async/slices.ts';
import type { KeyPrints } from '../../auth/key-prints.ts';
import { type Cancel, type Clock, pause } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import { RedisScript } from '../../redis/script.ts';
import type { RulesLink } from '../rules/link.ts';
import type { Connected } from '../rules/open-changes.ts';
import type { RulesKeys } from '../rules/redis.ts';
import type { Acknowledged, Fleet, FleetAnswers, FleetNode } from './fleet.ts';
import { type Neighbour, nodesScript, readNeighbours, runBefore } from './nodes.ts';
import { TwinWatch } from './twin-watch.ts';

const script = (file: string): RedisScript => RedisScript.read(import.meta.url, file, `fleet-${file}`);
const scripts = {
  report: script('report'),
  leave: script('leave'),
  ask: script('ask'),
  isAsked: script('is-asked'),
  answer: script('answer'),
  gather: script('gather'),
};
const forgetMs = '60000';
const reportMs = 1000;
/** How soon a node says that others are connected to it now: windows are made from it. */
const lookHereMs = 200;
const answerWithinMs = 1000;
/** Answers that nobody gathers are gone after this. */
const keptMs = '10000';
/** Time between two looks: short at first, because nodes take a millisecond or two. */
const lookMs = { first: 2, longest: 40, growth: 1.5 };

const questionSchema = z.object({
  id: z.string().max(64),
  from: z.string(),
  question: z.unknown(),
  // A node of an older release leaves nothing in Redis for as long as it waits.
  isKept: z.boolean().default(false),
});
const answerSchema = z.object({ node: z.string(), answer: z.unknown() });

interface RedisFleetParts extends FleetNode {
  readonly redis: RulesLink;
  readonly keys: RulesKeys;
  readonly clock: Clock;
  readonly logger: LeveledLogger;
  /** Of the keys that all nodes must share: never the keys. */
  readonly prints: KeyPrints;
}

export class RedisFleet implements Fleet {
  private readonly twin: TwinWatch;
  private readonly reports: PacedRuns;
  private readonly stops: readonly Cancel[];
  private neighbours: ReadonlyMap<string, Neighbour> = new Map();
  private answer: (question: unknown) => unknown = () => undefined;
  private applied = 0;
  private told: Connected = { streams: 0, polls: 0 };
  private isClosed = false;

  /** Begins to report and to listen. */
  constructor(private readonly parts: RedisFleetParts) {
    const { redis, keys, clock, connectedHere } = parts;
    this.twin = new TwinWatch(clock, (isThere) => this.tellTwin(isThere));
    this.reports = new PacedRuns(clock, 0, () => this.report());
    const report = (): void => void this.reports.next();
    this.stops = [
      redis.subscribe(keys.ask, (message) => void this.hear(message)),
      clock.every(reportMs, report),
      clock.every(lookHereMs, () => {
        const { streams, polls } = connectedHere();
        if (streams !== this.told.streams || polls !== this.told.polls) report();
      }),
    ];
    report();
  }

  serve(answer: (question: unknown) => unknown): void {
    this.answer = answer;
  }

  async ask(question: object): Promise<FleetAnswers> {
    const answers = new Map<string, unknown>();
    const own = await this.answer(question);
    if (own !== undefined) answers.set(this.parts.nodeId, own);
    try {
      await this.look();
      if (this.others.length > 0) await this.gather(question, answers);
    } catch {
      // Redis is away: the nodes that lived when it was last asked are told as missing.
    }
    return { answers, missing: this.others.map(([node]) => node).filter((node) => !answers.has(node)) };
  }

  connected(): Connected {
    let { streams, polls } = this.parts.connectedHere();
    for (const [, there] of this.others) {
      streams += there.streams;
      polls += there.polls;
    }
    return { streams, polls };
  }

  acknowledge(version: number): void {
    this.applied = version;
    void this.reports.next();
  }

  /** While Redis is away the laggards are those that lived when it was last asked. */
  async acknowledged(version: number, withinMs: number): Promise<Acknowledged> {
    try {
      // While Redis is known to be away an answer must not take its timeouts too: it may be a kill's.
      if (this.parts.redis.isUp)
        await this.lookUntil(withinMs, async () => {
          await this.look();
          return this.known(version).laggards.length === 0;
        });
    } catch {
      // The link counts it: what is known still names the nodes that have not answered.
    }
    return this.known(version);
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    this.isClosed = true;
    await this.reports.next();
  }

  /** The other nodes that lived when Redis was last asked. */
  private get others(): readonly (readonly [string, Neighbour])[] {
    return [...this.neighbours].filter(([node]) => node !== this.parts.nodeId);
  }

  /** @throws log_unavailable */
  private async look(): Promise<void> {
    const { redis, keys } = this.parts;
    this.neighbours = readNeighbours(await redis.run(nodesScript, [keys.acks, keys.nodes], []));
  }

  private async lookUntil(withinMs: number, isDone: () => Promise<boolean>): Promise<void> {
    const { clock } = this.parts;
    const deadlineMs = clock.monotonic() + withinMs;
    for (let pauseMs = lookMs.first; !(await isDone()); ) {
      const leftMs = deadlineMs - clock.monotonic();
      if (leftMs <= 0) return;
      await pause(clock, Math.min(pauseMs, leftMs));
      pauseMs = Math.min(pauseMs * lookMs.growth, lookMs.longest);
    }
  }

  private known(version: number): Acknowledged {
    const { nodeId, caps } = this.parts;
    // This node knows itself best: what it has said may not have arrived.
    const own = { version: this.applied, capped: caps };
    const nodes = [...this.others, [nodeId, own] as const].toSorted(([one], [other]) =>
      one < other ? -1 : 1,
    );
    return {
      acks: Object.fromEntries(nodes.map(([node, { version: acked }]) => [node, acked])),
      laggards: nodes.filter(([, { version: acked }]) => acked < version).map(([node]) => node),
      capped: nodes
        .filter(([, { capped }]) => capped.length > 0)
        .map(([node, { capped }]) => ({ node, variables: [...capped] })),
    };
  }

  /** Says what this node decides by; once it is closed, that nobody need wait for it. */
  private async report(): Promise<void> {
    const { redis, keys, nodeId, caps, prints, connectedHere } = this.parts;
    const both = [keys.acks, keys.nodes];
    try {
      if (this.isClosed) {
        await redis.run(scripts.leave, both, [nodeId]);
        return;
      }
      this.told = connectedHere();
      const facts = JSON.stringify({ capped: caps, prints, run: this.twin.run, ...this.told });
      const reply = await redis.run(scripts.report, both, [nodeId, String(this.applied), facts, forgetMs]);
      this.neighbours = readNeighbours(reply);
      this.twin.reported(runBefore(reply));
    } catch {
      // The next second reports again; the others stop waiting for a node that could not leave.
    }
  }

  private async gather(question: object, answers: Map<string, unknown>): Promise<void> {
    const { redis, keys, clock, nodeId } = this.parts;
    const id = clock.id();
    const asked = JSON.stringify({ id, from: nodeId, question, isKept: true });
    await redis.run(scripts.ask, [keys.asked(id)], [keys.ask, asked, String(answerWithinMs)]);
    await this.lookUntil(answerWithinMs, async () => {
      const lines = z.array(z.string()).parse(await redis.run(scripts.gather, [keys.answers(id)], []));
      for (const line of lines) {
        // Each may name a thousand sessions.
        await nextTurn();
        const { node, answer } = answerSchema.parse(JSON.parse(line));
        answers.set(node, answer);
      }
      return this.others.every(([node]) => answers.has(node));
    });
  }

  private async hear(message: string): Promise<void> {
    const { redis, keys, nodeId, logger } = this.parts;
    try {
      const { id, from, question, isKept } = questionSchema.parse(JSON.parse(message));
      if (from === nodeId) return;
      // Heard late, by a node that stood still: who asked was told that nothing came of it, of a drain too.
      if (isKept && (await redis.run(scripts.isAsked, [keys.asked(id)], [])) === null) return;
      const answer = await this.answer(question);
      if (answer === undefined) return;
      const line = JSON.stringify({ node: nodeId, answer });
      await redis.run(scripts.answer, [keys.answers(id)], [line, keptMs]);
    } catch (error) {
      logger.warn({ err: error }, 'a question of another node was not answered');
    }
  }

  /** Two nodes of one id: each hides what the other has not heard. */
  private tellTwin(isThere: boolean): void {
    const { redis, logger, nodeId: node } = this.parts;
    redis.notice = isThere ? "another living node has this node's id" : '';
    if (isThere)
      logger.error({ node }, 'another living node has this id: give each a TURNOUT_NODE_ID of its own');
    else logger.info({ node }, 'no other node has this id any longer');
  }
}
