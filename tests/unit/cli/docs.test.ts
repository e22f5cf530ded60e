/** docs/CLI.md says what the command line does: every command and option, and the exit codes word for word. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { exits } from '../../../src/cli/exits.ts';
import { turnoutProgram } from '../../../src/cli/program.ts';
import { systemTerminal } from '../../../src/cli/terminal.ts';
import { root } from '../../support/sources.ts';

const text = await readFile(join(root, 'docs/CLI.md'), 'utf8');
const commandsOf = (command: Command): Command[] => [command, ...command.commands.flatMap(commandsOf)];
const commands = commandsOf(turnoutProgram(systemTerminal(), []));

describe('docs/CLI.md', () => {
  it('has every exit code, as --help shows it', () => {
    const rows = text.split('\n').filter((line) => /^\| \d+ \|/.test(line));
    expect(rows).toEqual(Object.values(exits).map(({ code, means }) => `| ${code} | ${means} |`));
  });

  it('names every command', () => {
    const names = commands.slice(1).map((command) => {
      const parent = command.parent?.name() ?? '';
      return parent === 'turnout' ? `turnout ${command.name()}` : `${parent} ${command.name()}`;
    });
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => !text.includes(name))).toEqual([]);
  });

  it('names every option', () => {
    const options = commands.flatMap((command) =>
      command.options.map(({ long, short }) => long ?? short ?? ''),
    );
    const named = (option: string): boolean =>
      text.includes(option) ||
      { '--output': '-o json', '--watch': '-w', '--count': '-n 10' }[option] !== undefined;
    const others = options.filter((option) => !named(option) && option !== '--version');
    expect(others).toEqual([]);
  });
});
