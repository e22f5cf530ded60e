/** `turnout rollout …`: the admin API for people and scripts. */
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import {
  type AuditEntry,
  auditBodySchema,
  type ChangeAnswer,
  changeAnswerSchema,
  decisionBodySchema,
  listEntrySchema,
  percentSchema,
  type RolloutBody,
  rolloutBodySchema,
  sessionsBodySchema,
} from '../../../schema/admin.ts';
import { transportFlag } from '../../rollout/rules/features.ts';
import { changeLines, exitOfChange } from './change-view.ts';
import { decisionLines } from './decision-view.ts';
import { CommandError, type Exit } from '../exits.ts';
import { type GatewayClient, gatewayClient, type TokenNames } from '../gateway-client.ts';
import {
  type CommonOptions,
  reportsTo,
  withGateway,
  withOutput,
  withReason,
  withVersion,
} from '../options.ts';
import { momentText } from '../spans.ts';
import type { Terminal } from '../terminal.ts';
import { isCappedEverywhere, rolloutLines } from './view.ts';
import { watchRollout } from './watch.ts';

const tokenNames: TokenNames = ['TURNOUT_ADMIN_TOKEN', 'TURNOUT_TOKEN'];

interface WriteOptions extends CommonOptions {
  readonly reason: string;
  readonly ifVersion?: number;
}

interface FlagOptions extends WriteOptions {
  readonly on?: boolean;
  readonly off?: boolean;
}

interface Write {
  readonly method: 'PUT' | 'POST';
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** In the past tense, for the person who asked. */
  readonly did: string;
  /** The flag that it changes, where it isn't the one that gives WebSocket. */
  readonly flag?: string;
}

const reads = (command: Command): Command => withOutput(withGateway(command));
const writes = (command: Command): Command => withVersion(withReason(reads(command)));

export function addRolloutCommands(program: Command, terminal: Terminal): void {
  const rollout = program.command('rollout').description('look at the rollout and change it');
  const write = (options: WriteOptions, change: Write): Promise<Exit> =>
    writeChange(terminal, options, change);

  reads(rollout.command('get'))
    .description('percent, kill, nodes, cohorts, moves, and what to do next')
    .option('-w, --watch', 'go on showing it, until Ctrl-C')
    .action(
      reportsTo(terminal, async (options: CommonOptions & { watch?: boolean }) => {
        const client = gatewayClient(terminal, options, tokenNames);
        const show = (seen: Seen): Promise<void> => showRollout(terminal, options, seen);
        if (options.watch === true)
          return watchRollout(terminal, () => readRollout(client), show, options.output);
        const seen = await readRollout(client);
        await show(seen);
        return isCappedEverywhere(seen.body) ? 'partial' : 'done';
      }),
    );

  writes(rollout.command('set'))
    .description('set the percentage of users who get WebSocket')
    .argument('<percent>', '0 to 100, in steps of 0.01', parsePercent)
    .action(
      reportsTo(terminal, (options: WriteOptions, percent: number) =>
        write(options, {
          method: 'PUT',
          path: '/rollout/percent',
          body: { percent },
          did: `percent set to ${percent} %`,
        }),
      ),
    );

  writes(rollout.command('flag'))
    .description('set another flag: legacy-serve, ws-autoreconnect …')
    .argument('<name>', 'as `rollout get -o json` lists them')
    .argument('[percent]', '0 to 100, in steps of 0.01', parsePercent)
    .option('--on', 'turn it on')
    .option('--off', 'turn it off')
    .action(
      reportsTo(terminal, (options: FlagOptions, name: string, percent: number | undefined) => {
        const { on = false, off = false } = options;
        if (on && off) throw new CommandError('usage', 'give --on or --off, not both');
        if (!on && !off && percent === undefined)
          throw new CommandError('usage', 'give a percentage, --on or --off');
        const said = [
          ...(percent === undefined ? [] : [`${percent} %`]),
          ...(on ? ['on'] : off ? ['off'] : []),
        ];
        return write(options, {
          method: 'PUT',
          path: `/rollout/flags/${encodeURIComponent(name)}`,
          body: { ...(percent !== undefined && { percent }), ...((on || off) && { enabled: on }) },
          did: `${name} set to ${said.join(', ')}`,
          ...(name !== transportFlag && { flag: name }),
        });
      }),
    );

  for (const [name, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const)
    writes(rollout.command(name))
      .description(`turn the flag ${enabled ? 'on' : 'off: everybody to long-poll at the move rate'}`)
      .action(
        reportsTo(terminal, (options: WriteOptions) =>
          write(options, {
            method: 'PUT',
            path: '/rollout/enabled',
            body: { enabled },
            did: `flag turned ${enabled ? 'on' : 'off'}`,
          }),
        ),
      );

  // A kill takes no version: it must never lose a race.
  withReason(reads(rollout.command('kill')))
    .description('everybody to long-poll, now, on every node')
    .action(
      reportsTo(terminal, (options: WriteOptions) =>
        write(options, { method: 'POST', path: '/rollout/kill', did: 'KILLED' }),
      ),
    );

  for (const [name, did, description] of [
    ['unkill', 'kill undone', 'end every kill: people come back at the move rate'],
    ['pause', 'moves paused', 'who is connected stays where they are'],
    ['resume', 'moves go on', 'end the pause'],
  ] as const)
    writes(rollout.command(name))
      .description(description)
      .action(
        reportsTo(terminal, (options: WriteOptions) =>
          write(options, { method: 'POST', path: `/rollout/${name}`, did }),
        ),
      );

  reads(rollout.command('why'))
    .description('which transport a user gets, and why')
    .argument('<org/user>', 'the user, with the org', parseUser)
    .action(
      reportsTo(terminal, async (options: CommonOptions, [org, user]: readonly [string, string]) => {
        const client = gatewayClient(terminal, options, tokenNames);
        const decision = await get(
          client,
          decisionBodySchema,
          `/decisions/${encodeURIComponent(org)}/${encodeURIComponent(user)}`,
        );
        if (options.output === 'json') {
          await terminal.print(JSON.stringify(decision));
          return 'done';
        }
        const query = new URLSearchParams({ org, user }).toString();
        const seen = await optional(get(client, sessionsBodySchema, `/sessions?${query}`));
        await terminal.print(...decisionLines(decision, seen?.sessions, terminal.clock.now()));
        return 'done';
      }),
    );
}

interface Seen {
  readonly body: RolloutBody;
  readonly audit: readonly AuditEntry[];
}

async function readRollout(client: GatewayClient): Promise<Seen> {
  const [body, audit] = await Promise.all([
    get(client, rolloutBodySchema, '/rollout'),
    optional(get(client, auditBodySchema, '/audit')),
  ]);
  return { body, audit: audit?.entries ?? [] };
}

async function showRollout(
  terminal: Terminal,
  { output }: CommonOptions,
  { body, audit }: Seen,
): Promise<void> {
  if (output === 'json') await terminal.print(JSON.stringify(body));
  else await terminal.print(...rolloutLines(body, audit, terminal.clock.now()));
}

async function writeChange(terminal: Terminal, options: WriteOptions, change: Write): Promise<Exit> {
  const { method, path, body, did, flag } = change;
  const client = gatewayClient(terminal, options, tokenNames);
  const startMs = terminal.clock.monotonic();
  const sent = { method, body: { ...body, reason: options.reason }, ifVersion: options.ifVersion };
  let answer: ChangeAnswer;
  try {
    answer = await client.call(changeAnswerSchema, `/admin/v1${path}`, sent);
  } catch (thrown) {
    throw await withTheFirst(client, thrown);
  }
  const tookMs = terminal.clock.monotonic() - startMs;
  if (options.output === 'json') await terminal.print(JSON.stringify(answer));
  else {
    const after = await optional(get(client, rolloutBodySchema, '/rollout'));
    await terminal.print(...changeLines(did, answer, tookMs, after, flag));
  }
  return exitOfChange(answer);
}

/** A conflict, with who was first: the audit trail knows. */
async function withTheFirst(client: GatewayClient, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof CommandError) || thrown.code !== 'version_conflict') return thrown;
  const audit = await optional(get(client, auditBodySchema, '/audit'));
  const first = audit?.entries[0];
  if (first === undefined) return thrown;
  const { version, who, action, reason, at } = first;
  return new CommandError(
    'conflict',
    `nothing was changed: ${who} was first with v${version} (${action}, "${reason}") at ${momentText(at)}`,
    { code: thrown.code, hint: thrown.hint },
  );
}

const get = <T>(client: GatewayClient, schema: z.ZodType<T>, path: string): Promise<T> =>
  client.call(schema, `/admin/v1${path}`);

/** For what only adds to an answer: an answer without it is better than none. */
async function optional<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof CommandError) return undefined;
    throw thrown;
  }
}

function parsePercent(text: string): number {
  const parsed = percentSchema.safeParse(/^\d{1,3}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN);
  if (!parsed.success)
    throw new InvalidArgumentError('It is a number from 0 to 100 with at most two decimals.');
  return parsed.data;
}

function parseUser(text: string): readonly [string, string] {
  const [org, user, ...rest] = text.split('/');
  if (!listEntrySchema.safeParse(text).success || org === undefined || user === undefined || rest.length > 0)
    throw new InvalidArgumentError('Give the org too: acme/ann.');
  return [org, user];
}
