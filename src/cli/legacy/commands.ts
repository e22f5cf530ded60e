/** `turnout legacy …`: profiles of the API that was there before, tried and proposed. */
import type { Command } from 'commander';
import { CommandError } from '../exits.ts';
import { outcomeOf } from '../findings.ts';
import { adminTokens, GatewayClient } from '../gateway-client.ts';
import { type CommonOptions, type OutputOptions, reportsTo, withGateway, withOutput } from '../options.ts';
import { printable, type Terminal } from '../terminal.ts';
import { isClean, shadowLines } from './shadow-view.ts';

const header = ['--header <line>', "sent to it, as 'cookie: sid=…'; may be repeated", collected] as const;

function collected(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

interface Target extends OutputOptions {
  readonly header?: readonly string[];
}

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
    .option(...header)
    .action(
      reportsTo(terminal, async (options: Target & { readonly url?: string }, file: string) => {
        // Not before it is asked for: a kill must start at once.
        const { checkFile } = await import('./check.ts');
        return outcomeOf(await checkFile(terminal, file, options));
      }),
    );

  withOutput(legacy.command('record'))
    .description('propose a profile from a few answers of an old API, to go on from by hand')
    .requiredOption('--url <old>', 'an address as a client asks it, its query included')
    .option(...header)
    .option('--name <name>', 'of the profile', 'old-api')
    .action(
      reportsTo(terminal, async (options: Target & { readonly url: string; readonly name: string }) => {
        const { name } = options;
        const { OldApi, parseHeaders, parseOldUrl } = await import('./old-api.ts');
        const { recordProfile } = await import('./record.ts');
        if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
          throw new CommandError('usage', '--name is lower case letters, digits and dashes');
        const api = new OldApi(terminal, parseOldUrl(options.url), parseHeaders(options.header));
        const { yaml, profile, notes } = await recordProfile(api, name);
        terminal.say(...notes.map((note) => printable(`# ${note}`)));
        return { json: { profile, notes }, lines: () => [yaml.trimEnd()] };
      }),
    );

  withGateway(legacy.command('shadow'))
    .description(
      'what the shadows found: would Turnout have answered as the old backend did? exit 1 where not',
    )
    .action(
      reportsTo(terminal, async (options: CommonOptions) => {
        const { shadowBodySchema } = await import('../../../schema/admin.ts');
        const client = new GatewayClient(terminal, options, adminTokens);
        const found = await client.call(shadowBodySchema, '/admin/v1/legacy/shadow');
        // Places in the upstream's answers have its names in them, in JSON too.
        const lines = options.output === 'json' ? [JSON.stringify(found)] : shadowLines(found);
        await terminal.print(...lines.map(printable));
        return Object.values(found.profiles).every(isClean) ? 'done' : 'usage';
      }),
    );
}
