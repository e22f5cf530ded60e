/** `turnout token` and `turnout token inspect`. */
import { type Command, InvalidArgumentError } from 'commander';
import { type Claims, roleSchema } from '../../schema/token.ts';
import { CommandError } from './exits.ts';
import { commaList, type OutputOptions, reportsTo, withOutput } from './options.ts';
import { parseSpan } from './spans.ts';
import { setting, type Terminal } from './terminal.ts';

const defaultTtlMs = 3_600_000;
const maxTokenBytes = 64 * 1024;

/** The claims, and how long they hold. */
type TokenOptions = OutputOptions & Partial<Omit<Claims, 'exp'>> & { readonly ttl: number };

export function addTokenCommands(program: Command, terminal: Terminal): void {
  const token = withOutput(program.command('token'))
    .description('sign a token with TURNOUT_JWT_SECRET; needs no gateway')
    .option('--sub <user>', 'whose token it is (required)')
    .option('--org <org>', 'their org (required)')
    .option('--services <names>', 'what it may read: chat,chat/*; left out: all', commaList)
    .option('--publish <names>', 'what it may publish to as a user; left out: nothing', commaList)
    .option('--roles <roles>', 'producer, viewer, operator, admin', parseRoles)
    .option('--orgs <orgs>', 'orgs a producer publishes for; * for any', commaList)
    .option('--ttl <span>', 'how long it lives: 90s, 15m, 1h, 7d (default: 1h)', parseTtl, defaultTtlMs)
    .action(
      reportsTo(terminal, async ({ ttl, sub, org, ...others }: TokenOptions) => {
        if (sub === undefined || org === undefined)
          throw new CommandError('usage', 'a token needs --sub and --org');
        const exp = Math.floor((terminal.clock.now() + ttl) / 1000);
        const { mintToken } = await import('./token-claims.ts');
        const audience = setting(terminal.env, 'TURNOUT_JWT_AUDIENCE');
        const signing = {
          secret: setting(terminal.env, 'TURNOUT_JWT_SECRET'),
          issuer: setting(terminal.env, 'TURNOUT_JWT_ISSUER'),
          audience: audience === undefined ? undefined : commaList(audience),
        };
        const made = await mintToken(signing, { sub, org, exp, ...others });
        return { json: made, lines: () => [made.token] };
      }),
    );

  withOutput(token.command('inspect'))
    .description('show what a token claims, without verifying it; exit 1 where it could not be good')
    .argument('[token]', 'the token; left out or -: standard input')
    .action(
      reportsTo(terminal, async (_: OutputOptions, given?: string) => {
        const text = given === undefined || given === '-' ? await readToken(terminal) : given;
        const { inspectedLines, inspectToken } = await import('./token-claims.ts');
        const nowMs = terminal.clock.now();
        const json = inspectToken(text.trim(), nowMs);
        const exit = json.problems.length === 0 ? 'done' : 'usage';
        return { json, lines: () => inspectedLines(json, nowMs), exit };
      }),
    );
}

async function readToken({ input }: Terminal): Promise<string> {
  let text = '';
  for await (const chunk of input.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > maxTokenBytes) throw new CommandError('usage', 'standard input holds no token');
  }
  return text;
}

function parseRoles(text: string, before?: readonly string[]): string[] {
  const roles = commaList(text, before);
  if (roles.some((role) => !roleSchema.safeParse(role).success))
    throw new InvalidArgumentError('Roles are producer, viewer, operator, admin.');
  return roles;
}

function parseTtl(text: string): number {
  const ms = parseSpan(text);
  if (ms === undefined || ms < 1000) throw new InvalidArgumentError('A span looks like 90s, 15m, 1h, 7d.');
  return ms;
}
