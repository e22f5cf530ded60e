/** Lua scripts: text that a room keeps in its lua/ folder, run by its hash, or whole where Redis doesn't know it yet. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisCommands } from './connections.ts';

export class RedisScript {
  private readonly hash: string;

  constructor(
    /** For error messages. */
    readonly name: string,
    readonly lua: string,
  ) {
    this.hash = createHash('sha1').update(lua).digest('hex');
  }

  /**
   * Reads `lua/<file>.lua` beside a module; the build copies these folders.
   * @param moduleUrl the module's `import.meta.url`
   * @throws when the file is missing
   */
  static read(moduleUrl: string, file: string, name = file): RedisScript {
    return new RedisScript(name, readFileSync(new URL(`./lua/${file}.lua`, moduleUrl), 'utf8'));
  }

  /** @throws whatever Redis or the connection says */
  async run(
    redis: RedisCommands,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    try {
      return await redis.call('EVALSHA', [this.hash, ...rest]);
    } catch (error) {
      // A server that is new, or was restarted or promoted: EVAL teaches it the script.
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return redis.call('EVAL', [this.lua, ...rest]);
    }
  }
}
