/**
 * The nodes that share rules in Redis. Asks them by pub/sub and gathers their answers from a short-lived list; a node that
 * died is not waited for.
 */
import { z } from 'zod';
import type { KeyPrints } from '../../auth/key-prints.ts';
import type { Clock } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import { RedisScript } from '../../redis/script.ts';
import type { RulesLink } from '../rules/link.ts';
import type { Connected } from '../rules/open-changes.ts';
import type { RulesKeys } from '../rules/redis.ts';
import type { Acknowledged, Fleet, FleetAnswers, FleetNode } from './fleet.ts';
import { lookUntil, NodeRegister } from './register.ts';

const script = (file: string): RedisScript => RedisScript.read(import.meta.url, file, `fleet-${file}`);
const scripts = {
  ask: script('ask'),
  isAsked: script('is-asked'),
  answer: script('answer'),
  gather: script('gather'),
};
const answerWithinMs = 1000;
/** Answers that nobody gathers are gone after this. */
const keptMs = 10_000;

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
  private readonly parts: RedisFleetParts;
  private readonly register: NodeRegister;
  private readonly stop: () => void;
  private answer: (question: unknown) => unknown = () => undefined;

  constructor(parts: RedisFleetParts) {
    this.parts = parts;
    this.register = new NodeRegister({ ...parts, onTwin: (isThere) => this.tellTwin(isThere) });
    this.stop = parts.redis.subscribe(
      parts.keys.ask,
      (message) => void this.hear(message),
      () => undefined,
    );
  }

  serve(answer: (question: unknown) => unknown): void {
    this.answer = answer;
  }

  async ask(question: object): Promise<FleetAnswers> {
    const { register } = this;
    const answers = new Map<string, unknown>();
    const own = this.answer(question);
    if (own !== undefined) answers.set(this.parts.nodeId, own);
    try {
      await register.look();
      if (register.others.length > 0) await this.gather(question, answers);
    } catch {
      // Redis is away: the nodes that lived when it was last asked are told as missing.
    }
    return { answers, missing: register.others.filter((node) => !answers.has(node)) };
  }

  connected(): Connected {
    return this.register.connected();
  }

  acknowledge(version: number): void {
    this.register.acknowledge(version);
  }

  async acknowledged(version: number, withinMs: number): Promise<Acknowledged> {
    const { register } = this;
    // While Redis is known to be away an answer must not take its timeouts too: it may be a kill's.
    return this.parts.redis.isUp ? register.acknowledged(version, withinMs) : register.known(version);
  }

  async close(): Promise<void> {
    this.stop();
    await this.register.close();
  }

  private async gather(question: object, answers: Map<string, unknown>): Promise<void> {
    const { redis, keys, clock, nodeId } = this.parts;
    const id = clock.id();
    const asked = JSON.stringify({ id, from: nodeId, question, isKept: true });
    await redis.run(scripts.ask, [keys.asked(id)], [keys.ask, asked, String(answerWithinMs)]);
    await lookUntil(clock, answerWithinMs, async () => {
      const lines = z.array(z.string()).parse(await redis.run(scripts.gather, [keys.answers(id)], []));
      for (const line of lines) {
        const { node, answer } = answerSchema.parse(JSON.parse(line));
        answers.set(node, answer);
      }
      return this.register.others.every((node) => answers.has(node));
    });
  }

  /** Two nodes of one id: each hides what the other has not heard. */
  private tellTwin(isThere: boolean): void {
    const { redis, logger, nodeId: node } = this.parts;
    redis.notice = isThere ? "another living node has this node's id" : '';
    if (isThere)
      logger.error({ node }, 'another living node has this id: give each a TURNOUT_NODE_ID of its own');
    else logger.info({ node }, 'no other node has this id any longer');
  }

  private async hear(message: string): Promise<void> {
    const { redis, keys, nodeId, logger } = this.parts;
    try {
      const { id, from, question, isKept } = questionSchema.parse(JSON.parse(message));
      if (from === nodeId) return;
      // Heard late, by a node that stood still: who asked was told that nothing came of it, of a drain too.
      if (isKept && (await redis.run(scripts.isAsked, [keys.asked(id)], [])) === null) return;
      const answer = this.answer(question);
      if (answer === undefined) return;
      const line = JSON.stringify({ node: nodeId, answer });
      await redis.run(scripts.answer, [keys.answers(id)], [line, String(keptMs)]);
    } catch (error) {
      logger.warn({ err: error }, 'a question of another node was not answered');
    }
  }
}
