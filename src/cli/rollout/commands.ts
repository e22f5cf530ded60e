/** `turnout rollout …`: the admin API for people and scripts. */
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import {
  type ChangeAnswer,
  changeAnswerSchema,
  decisionBodySchema,
  listEntrySchema,
  percentSchema,
  rolloutBodySchema,
  sessionsBodySchema,
} from '../../../schema/admin.ts';
import { auditBodySchema } from '../../../schema/audit.ts';
import { transportFlag } from '../../rollout/rules/features.ts';
import { changeLines, exitOfChange } from './change-view.ts';
import { decisionLines } from './decision-view.ts';
import { CommandError } from '../exits.ts';
import { adminTokens, GatewayClient } from '../gateway-client.ts';
import {
  type CommonOptions,
  type Outcome,
  reportsTo,
  withGateway,
  withReason,
  withVersion,
} from '../options.ts';
import { momentText } from '../spans.ts';
import type { Terminal } from '../terminal.ts';
import { isCappedEverywhere, rolloutLines } from './view.ts';
import { watchRollout } from './watch.ts';

interface WriteOptions extends CommonOptions {
  readonly reason: string;
  readonly ifVersion?: number;
}

interface Change {
  readonly path: string;
  /** With one it is put in its place, without it is posted. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** In the past tense, for the person who asked. */
  readonly did: string;
  /** The flag that it changes, where it isn't the one that gives WebSocket. */
  readonly flag?: string;
}

/** Changes that take nothing but a reason; the path of most is their name. */
const plainChanges: readonly (Omit<Change, 'path'> & { name: string; about: string; path?: string })[] = [
  {
    name: 'enable',
    about: 'turn the flag on',
    path: '/rollout/enabled',
    body: { enabled: true },
    did: 'flag turned on',
  },
  {
    name: 'disable',
    about: 'turn the flag off: everybody to long-poll at the move rate',
    path: '/rollout/enabled',
    body: { enabled: false },
    did: 'flag turned off',
  },
  { name: 'kill', about: 'everybody to long-poll, now, on every node', did: 'KILLED' },
  { name: 'unkill', about: 'end every kill: people come back at the move rate', did: 'kill undone' },
  { name: 'pause', about: 'who is connected stays where they are', did: 'moves paused' },
  { name: 'resume', about: 'end the pause', did: 'moves go on' },
];

const writes = (command: Command): Command => withVersion(withReason(withGateway(command)));

export function addRolloutCommands(program: Command, terminal: Terminal): void {
  const rollout = program.command('rollout').description('look at the rollout and change it');

  withGateway(rollout.command('get'))
    .description('percent, kill, nodes, cohorts, moves, and what to do next')
    .option('-w, --watch', 'go on showing it, until Ctrl-C')
    .action(
      reportsTo(terminal, async (options: CommonOptions & { watch?: boolean }) => {
        const client = new GatewayClient(terminal, options, adminTokens);
        const read = (): Promise<Outcome> => readRollout(terminal, client);
        return options.watch === true ? watchRollout(terminal, read, options) : read();
      }),
    );

  writes(rollout.command('set'))
    .description('set the percentage of users who get WebSocket')
    .argument('<percent>', '0 to 100, in steps of 0.01', parsePercent)
    .action(
      reportsTo(terminal, (options: WriteOptions, percent: number) => {
        const did = `percent set to ${percent} %`;
        return writeChange(terminal, options, { path: '/rollout/percent', body: { percent }, did });
      }),
    );

  writes(rollout.command('flag'))
    .description('set another flag: legacy-serve, ws-autoreconnect …')
    .argument('<name>', 'as `rollout get -o json` lists them')
    .argument('[percent]', '0 to 100, in steps of 0.01', parsePercent)
    .option('--on', 'turn it on')
    .option('--off', 'turn it off')
    .action(
      reportsTo(
        terminal,
        (options: WriteOptions & { on?: boolean; off?: boolean }, name: string, percent?: number) => {
          const { on = false, off = false } = options;
          if (on && off) throw new CommandError('usage', 'give --on or --off, not both');
          if (!on && !off && percent === undefined)
            throw new CommandError('usage', 'give a percentage, --on or --off');
          const said = [percent === undefined ? [] : `${percent} %`, on ? 'on' : [], off ? 'off' : []];
          return writeChange(terminal, options, {
            path: `/rollout/flags/${encodeURIComponent(name)}`,
            body: { ...(percent !== undefined && { percent }), ...((on || off) && { enabled: on }) },
            did: `${name} set to ${said.flat().join(', ')}`,
            ...(name !== transportFlag && { flag: name }),
          });
        },
      ),
    );

  for (const { name, about, path = `/rollout/${name}`, ...change } of plainChanges) {
    const command = withReason(withGateway(rollout.command(name))).description(about);
    // A kill takes no version: it must never lose a race.
    if (name !== 'kill') withVersion(command);
    command.action(
      reportsTo(terminal, (options: WriteOptions) => writeChange(terminal, options, { path, ...change })),
    );
  }

  withGateway(rollout.command('why'))
    .description('which transport a user gets, and why')
    .argument('<org/user>', 'the user, with the org', parseUser)
    .action(
      reportsTo(terminal, async (options: CommonOptions, [org, user]: readonly [string, string]) => {
        const client = new GatewayClient(terminal, options, adminTokens);
        const path = `/admin/v1/decisions/${encodeURIComponent(org)}/${encodeURIComponent(user)}`;
        const decision = await client.call(decisionBodySchema, path);
        const lines = async (): Promise<string[]> => {
          const query = new URLSearchParams({ org, user }).toString();
          const seen = await optional(client, sessionsBodySchema, `/admin/v1/sessions?${query}`);
          return decisionLines(decision, seen?.sessions, terminal.clock.now());
        };
        return { json: decision, lines };
      }),
    );
}

async function readRollout({ clock }: Terminal, client: GatewayClient): Promise<Outcome> {
  const [body, audit] = await Promise.all([
    client.call(rolloutBodySchema, '/admin/v1/rollout'),
    optional(client, auditBodySchema, '/admin/v1/audit'),
  ]);
  const lines = (): string[] => rolloutLines(body, audit?.entries ?? [], clock.now());
  return { json: body, lines, exit: isCappedEverywhere(body) ? 'partial' : 'done' };
}

async function writeChange(
  terminal: Terminal,
  options: WriteOptions,
  { path, body, did, flag }: Change,
): Promise<Outcome> {
  const client = new GatewayClient(terminal, options, adminTokens);
  const startMs = terminal.clock.monotonic();
  let answer: ChangeAnswer;
  try {
    answer = await client.call(changeAnswerSchema, `/admin/v1${path}`, {
      method: body === undefined ? 'POST' : 'PUT',
      body: { ...body, reason: options.reason },
      ifVersion: options.ifVersion,
    });
  } catch (thrown) {
    throw await withTheFirst(client, thrown);
  }
  const tookMs = terminal.clock.monotonic() - startMs;
  const lines = async (): Promise<string[]> => {
    const after = await optional(client, rolloutBodySchema, '/admin/v1/rollout');
    return changeLines(did, answer, tookMs, after, flag);
  };
  return { json: answer, lines, exit: exitOfChange(answer) };
}

/** A conflict, with who was first: the audit trail knows. */
async function withTheFirst(client: GatewayClient, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof CommandError) || thrown.details.code !== 'version_conflict') return thrown;
  const audit = await optional(client, auditBodySchema, '/admin/v1/audit');
  const first = audit?.entries[0];
  if (first === undefined) return thrown;
  const { version, who, action, reason, at } = first;
  const what = `v${version} (${action}, "${reason}") at ${momentText(at)}`;
  return new CommandError('conflict', `nothing was changed: ${who} was first with ${what}`, thrown.details);
}

/** For what only adds to an answer: an answer without it is better than none. */
async function optional<T>(
  client: GatewayClient,
  schema: z.ZodType<T>,
  path: string,
): Promise<T | undefined> {
  try {
    return await client.call(schema, path);
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
