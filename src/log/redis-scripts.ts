/** The log's Lua scripts, read from lua/*.lua once, and how one is run: by its hash, or whole where Redis doesn't know it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { codeIn } from '../errors.ts';
import type { RedisCommands } from '../redis.ts';

// The compiler copies no Lua: from dist/src/log the sources are three folders up.
const places = ['./lua/', '../../../src/log/lua/'];

export class RedisScript {
  private readonly text: string;
  private readonly hash: string;

  /** @param name of the file, without `.lua`. @throws when it is missing. */
  constructor(name: string) {
    this.text = readScript(name);
    this.hash = createHash('sha1').update(this.text).digest('hex');
  }

  /** @throws whatever Redis or the connection says. */
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
      return redis.call('EVAL', [this.text, ...rest]);
    }
  }
}

function readScript(name: string): string {
  for (const place of places) {
    try {
      return readFileSync(new URL(`${place}${name}.lua`, import.meta.url), 'utf8');
    } catch (error) {
      if (codeIn(error) !== 'ENOENT') throw error;
    }
  }
  throw new Error(`src/log/lua/${name}.lua is missing`);
}
