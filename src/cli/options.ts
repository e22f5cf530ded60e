/** Options that many commands share, spelt the same in each, and how a command's end becomes the process's. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { whySchema } from '../../schema/admin.ts';
import { CommandError, errorJson, errorLines, type Exit } from './exits.ts';
import type { GatewayOptions } from './gateway-client.ts';
import type { Terminal } from './terminal.ts';

export interface OutputOptions {
  readonly output: 'text' | 'json';
}

export interface CommonOptions extends GatewayOptions, OutputOptions {}

/** What a command came to. */
export interface Outcome {
  readonly json: unknown;
  /** For people; made only where they are asked for. */
  readonly lines: () => readonly string[] | Promise<readonly string[]>;
  /** Absent: `done`. */
  readonly exit?: Exit;
}

export const withOutput = (command: Command): Command =>
  command.addOption(
    new Option('-o, --output <form>', 'for people or for scripts').choices(['text', 'json']).default('text'),
  );

/** Asks a gateway, and prints what it answers. */
export const withGateway = (command: Command): Command =>
  withOutput(
    command
      .option('--url <url>', 'the gateway, base path included (TURNOUT_URL; else http://127.0.0.1:4000)')
      .option('--token <token>', 'bearer token; better in its variable: every process can read arguments'),
  );

export const withReason = (command: Command): Command =>
  command.requiredOption('--reason <why>', 'kept in the audit trail', parseReason);

export const withVersion = (command: Command): Command =>
  command.option('--if-version <version>', 'only if these rules still stand: else exit 4', wholeNumber);

export function parseReason(text: string): string {
  const parsed = whySchema.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError('Say why in 1 to 500 characters: the audit trail keeps it.');
  return parsed.data;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}

export function countingNumber(text: string): number {
  const count = wholeNumber(text);
  if (count === 0) throw new InvalidArgumentError('It is 1 or more.');
  return count;
}

/** A comma list, repeated or not. */
export const commaList = (text: string, before: readonly string[] = []): string[] => [
  ...before,
  ...text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
];

/** Prints in the form that was asked for. */
export async function show(
  terminal: Terminal,
  { output }: OutputOptions,
  { json, lines }: Outcome,
): Promise<void> {
  await terminal.print(...(output === 'json' ? [JSON.stringify(json)] : await lines()));
}

/**
 * A command as commander calls it: arguments, then options, then itself. What it came to is printed, and its end, well or
 * not, becomes the process's exit code; what isn't a CommandError is a fault of ours and goes on.
 * @param run answers an exit alone where it printed what it had to say
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- each command names its own shapes, once
export function reportsTo<O extends OutputOptions, A extends readonly unknown[]>(
  terminal: Terminal,
  run: (options: O, ...args: A) => Promise<Exit | Outcome>,
): (this: Command, ...given: unknown[]) => Promise<void> {
  return async function action(this: Command) {
    // Parsed by the options' own parsers above; commander types them as any.
    const options = this.opts<O>();
    const args = this.processedArgs as unknown as A;
    try {
      const came = await run(options, ...args);
      if (typeof came === 'string') return terminal.end(came);
      await show(terminal, options, came);
      terminal.end(came.exit ?? 'done');
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      if (terminal.stopped.aborted) return terminal.end('stopped');
      terminal.say(...(options.output === 'json' ? [errorJson(thrown)] : errorLines(thrown)));
      terminal.end(thrown.exit);
    }
  };
}
