/** The log's Lua scripts, read from lua/*.lua once; the build copies them beside the built files. */
import { readFileSync } from 'node:fs';
import type { RedisCommands } from '../redis/connections.ts';
import { runScript } from '../redis/script.ts';

export class LogScript {
  private readonly lua: string;

  /** @param name of the file, without `.lua`. @throws when it is missing. */
  constructor(name: string) {
    this.lua = readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
  }

  /** @throws whatever Redis or the connection says. */
  run(redis: RedisCommands, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return runScript(redis, this.lua, keys, args);
  }
}
