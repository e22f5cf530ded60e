/** The log's Lua scripts, read from lua/*.lua once. */
import { readFileSync } from 'node:fs';
import { codeIn } from '../errors.ts';
import type { RedisCommands } from '../redis.ts';
import { runScript } from '../redis-script.ts';

// The compiler copies no Lua: from dist/src/log the sources are three folders up.
const places = ['./lua/', '../../../src/log/lua/'];

export class LogScript {
  private readonly lua: string;

  /** @param name of the file, without `.lua`. @throws when it is missing. */
  constructor(name: string) {
    this.lua = readScript(name);
  }

  /** @throws whatever Redis or the connection says. */
  run(redis: RedisCommands, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return runScript(redis, this.lua, keys, args);
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
