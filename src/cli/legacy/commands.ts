/** `turnout legacy …`: profiles of the API that was there before, tried and proposed. */
import type { Command } from 'commander';
import { CommandError, type Exit } from '../exits.ts';
import { findingLines, reportOf } from '../findings.ts';
import { gatewayClient } from '../gateway-client.ts';
import { isClean, shadowLines } from './shadow-view.ts';
import { type CommonOptions, type OutputOptions, reportsTo, withGateway, withOutput } from '../options.ts';
import { printable } from '../printable.ts';
import type { Terminal } from '../terminal.ts';

interface CheckOptions extends OutputOptions {
  readonly url?: string;
  readonly header?: readonly string[];
}

interface RecordOptions extends OutputOptions {
  readonly url: string;
  readonly header?: readonly string[];
  readonly name: string;
}

const collected = (text: string, before: readonly string[] = []): string[] => [...before, text];

export function addLegacyCommands(program: Command, terminal: Terminal): void {
  const legacy = program
    .command('legacy')
    .description('the long-poll API that was there before: its profile, tried and proposed');

  withOutput(legacy.command('check'))
    .description(
      'say what of an old API a profile maps, what not, and what that means; exit 1 where it is wrong',
    )
    .argument('<profile>', 'its file: YAML or JSON')
    .option('--url <old>', 'try it there: the old backend, or one of its addresses')
    .option('--header <line>', "sent to it, as 'cookie: sid=…'; may be repeated", collected)
    .action(
      reportsTo(terminal, async (options: CheckOptions, file: string): Promise<Exit> => {
        // Not before it is asked for: a kill must start at once.
        const { checkProfile } = await import('./check.ts');
        const report = reportOf(await checkProfile(terminal, file, options));
        const lines =
          options.output === 'json' ? [JSON.stringify(report)] : findingLines(report).map(printable);
        await terminal.print(...lines);
        return report.healthy ? 'done' : 'usage';
      }),
    );

  withOutput(legacy.command('record'))
    .description('propose a profile from a few answers of an old API, to go on from by hand')
    .requiredOption('--url <old>', 'an address as a client asks it, its query included')
    .option('--header <line>', "sent to it, as 'cookie: sid=…'; may be repeated", collected)
    .option('--name <name>', 'of the profile', 'old-api')
    .action(
      reportsTo(terminal, async (options: RecordOptions): Promise<Exit> => {
        const { recordProfile } = await import('./record.ts');
        if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(options.name))
          throw new CommandError('usage', '--name is lower case letters, digits and dashes');
        const { yaml, profile, notes } = await recordProfile(terminal, options);
        terminal.say(...notes.map((note) => printable(`# ${note}`)));
        await terminal.print(options.output === 'json' ? JSON.stringify({ profile, notes }) : yaml.trimEnd());
        return 'done';
      }),
    );

  withOutput(withGateway(legacy.command('shadow')))
    .description(
      'what the shadows found: would Turnout have answered as the old backend did? exit 1 where not',
    )
    .action(
      reportsTo(terminal, async (options: CommonOptions): Promise<Exit> => {
        const { shadowBodySchema } = await import('../../../schema/admin.ts');
        const client = gatewayClient(terminal, options, ['TURNOUT_ADMIN_TOKEN', 'TURNOUT_TOKEN']);
        const found = await client.call(shadowBodySchema, '/admin/v1/legacy/shadow');
        const lines = options.output === 'json' ? [JSON.stringify(found)] : shadowLines(found);
        await terminal.print(...lines.map(printable));
        return Object.values(found.profiles).every(isClean) ? 'done' : 'usage';
      }),
    );
}
