/** Asks the nodes by pub/sub and gathers their answers from a short-lived list. A node that died is not waited for. */
import { z } from 'zod';
import { type Clock, pause } from '../../clock.ts';
import type { Fleet, FleetAnswers } from './fleet.ts';
import type { LeveledLogger } from '../../logger.ts';
import type { NodeRegister } from '../rules/node-register.ts';
import type { RulesKeys, RulesRedis } from '../rules/redis.ts';
import { scripts } from '../rules/scripts.ts';

const answerWithinMs = 1000;
/** Answers that nobody gathers are gone after this. */
const keptMs = 10_000;
const lookMs = { first: 2, longest: 40, growth: 1.5 };

const questionSchema = z.object({
  id: z.string().max(64),
  from: z.string(),
  question: z.unknown(),
  // A node of an older release leaves nothing in Redis for as long as it waits.
  isKept: z.boolean().default(false),
});
const answerSchema = z.object({ node: z.string(), answer: z.unknown() });

export interface RedisFleetParts {
  readonly redis: RulesRedis;
  readonly keys: RulesKeys;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly logger: LeveledLogger;
  readonly register: NodeRegister;
}

export class RedisFleet implements Fleet {
  private readonly parts: RedisFleetParts;
  private readonly stop: () => void;
  private answer: (question: unknown) => unknown = () => undefined;

  constructor(parts: RedisFleetParts) {
    this.parts = parts;
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
    const { nodeId, register } = this.parts;
    const answers = new Map<string, unknown>();
    const own = this.answer(question);
    if (own !== undefined) answers.set(nodeId, own);
    try {
      await register.look();
      if (register.others.length > 0) await this.gather(question, answers);
    } catch {
      // Redis is away: the nodes that lived when it was last asked are told as missing.
    }
    return { answers, missing: register.others.filter((node) => !answers.has(node)) };
  }

  close(): void {
    this.stop();
  }

  private async gather(question: object, answers: Map<string, unknown>): Promise<void> {
    const { redis, keys, clock, nodeId, register } = this.parts;
    const id = clock.id();
    const asked = JSON.stringify({ id, from: nodeId, question, isKept: true });
    await redis.run(scripts.ask, [keys.asked(id)], [keys.ask, asked, String(answerWithinMs)]);
    const deadlineMs = clock.monotonic() + answerWithinMs;
    for (let pauseMs: number = lookMs.first; ; pauseMs = Math.min(pauseMs * lookMs.growth, lookMs.longest)) {
      await pause(clock, pauseMs);
      const lines = z.array(z.string()).parse(await redis.run(scripts.gather, [keys.answers(id)], []));
      for (const line of lines) {
        const { node, answer } = answerSchema.parse(JSON.parse(line));
        answers.set(node, answer);
      }
      const hasAll = register.others.every((node) => answers.has(node));
      if (hasAll || clock.monotonic() >= deadlineMs) return;
    }
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
