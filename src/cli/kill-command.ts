/** `turnout kill --local`: this machine's nodes to long-poll, with no network, no token and no Redis in between. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { killLocalNodes, type LocalKill } from '../rollout/kill/local.ts';
import { CommandError, type Exit } from './exits.ts';
import { makeKillFile, removeKillFile, standingKillFile } from './kill-file.ts';
import { type OutputOptions, parseReason, reportsTo, withOutput } from './options.ts';
import { printable } from './printable.ts';
import { localPerson, setting, type Terminal } from './terminal.ts';

interface KillOptions extends OutputOptions {
  readonly local?: boolean;
  readonly undo?: boolean;
  readonly reason?: string;
  readonly file?: string;
}

interface LocalKillReport {
  readonly nodes: readonly LocalKill[];
  /** The kill file that stands now, or that was removed; null where none is configured. */
  readonly file: { readonly path: string; readonly did: 'made' | 'stood' | 'removed' | 'absent' } | null;
}

export function addKillCommand(program: Command, terminal: Terminal): void {
  withOutput(program.command('kill'))
    .description("with --local: this machine's nodes to long-poll, without network, token or Redis")
    .option('--local', 'this machine only (all nodes: turnout rollout kill)')
    .option('--undo', 'remove the kill file; nodes that were killed are freed by turnout rollout unkill')
    .option('--reason <why>', 'kept in the file and in the audit trail', parseReason)
    .option('--file <path>', 'the kill file that the nodes watch (TURNOUT_KILL_FILE)')
    .action(
      reportsTo(terminal, async (options: KillOptions): Promise<Exit> => {
        if (options.local !== true)
          throw new CommandError('usage', 'which nodes?', {
            hint: "all: turnout rollout kill --reason '…'; this machine's: turnout kill --local",
          });
        return options.undo === true ? undo(terminal, options) : kill(terminal, options);
      }),
    );
}

async function kill(terminal: Terminal, options: KillOptions): Promise<Exit> {
  const { reason = 'turnout kill --local' } = options;
  const who = localPerson();
  const path = filePath(terminal, options);
  // The file first: it is what still holds when a node is too busy to answer, and after a restart.
  const file = path === undefined ? null : { path, did: makeFile(terminal, path, `${who}: ${reason}`) };
  const nodes = await killLocalNodes({
    reason: `${who}: ${reason}`.slice(0, 500),
    folder: setting(terminal.env, 'TURNOUT_RUN_DIR'),
  });
  if (nodes.length === 0 && file === null)
    throw new CommandError(
      'unreachable',
      "no node of this user's runs here, and TURNOUT_KILL_FILE is not set",
      {
        hint: "run it as the gateway's user or as root, or give --file; all nodes: turnout rollout kill --reason '…'",
      },
    );
  await report(terminal, options, { nodes, file });
  return exitOfLocalKill(nodes);
}

/** As for any other change: what is in the rules holds everywhere, and a kill that is not there holds here alone. */
function exitOfLocalKill(nodes: readonly LocalKill[]): Exit {
  const isAllDead = nodes.every(({ isKilled }) => isKilled);
  return isAllDead && !isHereAlone(nodes) ? 'done' : 'partial';
}

/** No node that obeys could write the rules: other machines do not know. */
function isHereAlone(nodes: readonly LocalKill[]): boolean {
  const obeying = nodes.filter((node) => node.isKilled);
  return obeying.length > 0 && obeying.every(({ written }) => !written);
}

async function undo(terminal: Terminal, options: KillOptions): Promise<Exit> {
  const path = filePath(terminal, options);
  if (path === undefined)
    throw new CommandError('usage', 'TURNOUT_KILL_FILE is not set: there is no file to remove', {
      hint: "nodes that were killed are freed by turnout rollout unkill --reason '…'",
    });
  const did = guarded(path, () => removeKillFile(path)) ? 'removed' : 'absent';
  await report(terminal, options, { nodes: [], file: { path, did } });
  return 'done';
}

/** In full, as the nodes name it. */
function filePath({ env }: Terminal, { file }: KillOptions): string | undefined {
  const given = file ?? setting(env, 'TURNOUT_KILL_FILE');
  return given === undefined ? undefined : resolve(given);
}

function makeFile({ clock }: Terminal, path: string, text: string): 'made' | 'stood' {
  const at = new Date(clock.now()).toISOString();
  return guarded(path, () => makeKillFile(path, `${at} ${text}`, clock.id())) ? 'made' : 'stood';
}

/** @throws CommandError that says what the file system would not do */
function guarded<T>(path: string, change: () => T): T {
  try {
    return change();
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'it failed';
    throw new CommandError('usage', `the kill file ${path}: ${why}`, {
      hint: "as the gateway's user or root: touch the file; all nodes: turnout rollout kill --reason '…'",
      cause: thrown,
    });
  }
}

async function report(terminal: Terminal, { output }: KillOptions, done: LocalKillReport): Promise<void> {
  await terminal.print(...(output === 'json' ? [JSON.stringify(done)] : reportLines(done).map(printable)));
}

function reportLines({ nodes, file }: LocalKillReport): string[] {
  const lines = nodes.map((node) => {
    if (!node.isKilled) return `NOT KILLED: the node at ${node.socket}: ${node.problem}`;
    const rest = node.written
      ? `all nodes follow with v${node.version}`
      : 'it could not write the rules: other machines have not been told until it can';
    return `KILLED    node ${node.node} obeys; ${rest}`;
  });
  if (isHereAlone(nodes)) lines.push('next      on every other machine: turnout kill --local');
  if (nodes.length > 0) lines.push("next      once the cause is found: turnout rollout unkill --reason '…'");
  return [...lines, ...(file === null ? [] : fileLines(file))];
}

function fileLines({ path, did }: NonNullable<LocalKillReport['file']>): string[] {
  switch (did) {
    case 'made':
      return [
        `KILLED    nodes that watch ${path} obey within a second`,
        '          it stands until it is removed, over restarts too: turnout kill --local --undo',
      ];
    case 'stood': {
      const standing = standingKillFile(path);
      return [
        `KILLED    the kill file ${path} stood already: ${standing?.text ?? ''}`,
        '          it stands until it is removed: turnout kill --local --undo',
      ];
    }
    case 'removed':
      return [
        `removed   ${path}: its nodes go back to what the rules say, at the move rate`,
        'next      see whether another kill stands: turnout rollout get',
      ];
    case 'absent':
      return [
        `nothing   to remove: there is no ${path}`,
        'next      see whether another kill stands: turnout rollout get',
      ];
  }
}
