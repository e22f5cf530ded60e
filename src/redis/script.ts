/** How a Lua script is run: by its hash, or whole where Redis doesn't know it yet. */
import { createHash } from 'node:crypto';
import type { RedisCommands } from './connections.ts';

// Scripts are constants of the program: there are as many as it has.
const hashes = new Map<string, string>();

/** @throws whatever Redis or the connection says. */
export async function runScript(
  redis: RedisCommands,
  lua: string,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  const rest = [keys.length, ...keys, ...args];
  try {
    return await redis.call('EVALSHA', [hashOf(lua), ...rest]);
  } catch (error) {
    // A server that is new, or was restarted or promoted: EVAL teaches it the script.
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.call('EVAL', [lua, ...rest]);
  }
}

function hashOf(lua: string): string {
  let hash = hashes.get(lua);
  if (hash === undefined) {
    hash = createHash('sha1').update(lua).digest('hex');
    hashes.set(lua, hash);
  }
  return hash;
}
