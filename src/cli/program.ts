/** All commands of `turnout`, with their help. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { z } from 'zod';
import { addDoctorCommand } from './doctor/command.ts';
import { CommandError, errorJson, exitHelp } from './exits.ts';
import { addDrainCommand } from './drain-command.ts';
import { addKillCommand } from './kill-command.ts';
import { addLegacyCommands } from './legacy/commands.ts';
import { addPublishCommand } from './publish-command.ts';
import { addRolloutCommands } from './rollout/commands.ts';
import { addTailCommand } from './tail-command.ts';
import type { Terminal } from './terminal.ts';
import { addTokenCommands } from './token-commands.ts';

const helpHint = '--help shows what it takes';

/** @param args those that will be parsed: what is wrong with them is told in the form that they ask for */
export function turnoutProgram(terminal: Terminal, args: readonly string[]): Command {
  // Before the commands are added: they inherit it.
  const program = new Command('turnout').exitOverride().enablePositionalOptions();
  if (asksForJson(args))
    program.configureOutput({
      outputError(text) {
        const message = text.trim().replace(/^error: /, '');
        terminal.say(errorJson(new CommandError('usage', message, { hint: helpHint })));
      },
    });
  else program.showHelpAfterError(`(${helpHint})`);
  program
    .description('moves users from long-polling to WebSocket, a few percent at a time, and back at once')
    .version(version())
    .addHelpText('afterAll', `\n${exitHelp()}`);
  program
    .command('serve')
    .description('run a gateway node; its settings are variables (docs/CONFIGURATION.md)')
    .action(async () => {
      await import('../main.ts');
    });
  addTailCommand(program, terminal);
  addPublishCommand(program, terminal);
  addTokenCommands(program, terminal);
  addDoctorCommand(program, terminal);
  addKillCommand(program, terminal);
  addDrainCommand(program, terminal);
  addRolloutCommands(program, terminal);
  addLegacyCommands(program, terminal);
  return program;
}

/** Read here too: arguments that can't be parsed have no options yet. */
const asksForJson = (args: readonly string[]): boolean =>
  args.some((arg, at) =>
    ['-o', '--output'].includes(arg) ? args[at + 1] === 'json' : /^(-o=?|--output=)json$/.test(arg),
  );

/** Reads the version of the package, whose manifest the build copies beside the built files. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(manifest)).version;
}
