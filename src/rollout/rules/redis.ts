/** What the shared rules need of Redis, as a port: a few scripts and one kind of subscription. gateway.ts joins it to the client. */
import { createHash } from 'node:crypto';
import type { RedisScript } from '../../redis/script.ts';

export interface RulesRedis {
  /**
   * Runs the script. Rejects while Redis is away, at once or within the client's command timeout, and a command that was
   * rejected before it was sent is not sent later: what an operator was told had failed must not come true afterwards.
   */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>;

  /**
   * Messages of the channel from now on, while Redis is there. The answer ends it.
   * @param onStanding the subscription stands, for the first time or again: what was published before went unheard
   */
  subscribe(channel: string, onMessage: (message: string) => void, onStanding?: () => void): () => void;
}

export type RulesKeys = ReturnType<typeof rulesKeys>;

/**
 * Keys and channels of the rules. `!` is in no org's name, so that the hash tag is nobody else's.
 * @param channelEnd of the channels' names, where the prefix alone doesn't tell this fleet's from another's
 */
export function rulesKeys(prefix: string, channelEnd = '') {
  const key = (name: string): string => `${prefix}:{!rules}:${name}`;
  return {
    document: key('document'),
    audit: key('audit'),
    /** Places of an author's entries in the trail. */
    auditOf: (who: string): string => key(`audit-of:${createHash('sha256').update(who).digest('base64url')}`),
    acks: key('acks'),
    nodes: key('nodes'),
    /** Channel: each document that was written. */
    changed: `${key('changed')}${channelEnd}`,
    /** Channel: questions to all nodes. */
    ask: `${key('ask')}${channelEnd}`,
    answers: (questionId: string): string => key(`answers:${questionId}`),
    /** There while somebody waits for answers to it. */
    asked: (questionId: string): string => key(`asked:${questionId}`),
  };
}
