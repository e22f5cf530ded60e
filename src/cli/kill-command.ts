/** `turnout kill --local`: this machine's nodes to long-poll, with no network, no token and no Redis in between. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { killLocalNodes, type LocalKill } from '../rollout/kill/local.ts';
import { CommandError } from './exits.ts';
import { makeKillFile, removeKillFile, standingKillFile } from './kill-file.ts';
import { type Outcome, type OutputOptions, parseReason, reportsTo, withOutput } from './options.ts';
import { localPerson, printable, setting, type Terminal } from './terminal.ts';

interface KillOptions extends OutputOptions {
  readonly local?: boolean;
  readonly undo?: boolean;
  readonly reason?: string;
  readonly file?: string;
}

/** The kill file that stands now, or that was removed; null where none is configured. */
type FileReport = { readonly path: string; readonly did: 'made' | 'stood' | 'removed' | 'absent' } | null;

export function addKillCommand(program: Command, terminal: Terminal): void {
  withOutput(program.command('kill'))
    .description("with --local: this machine's nodes to long-poll, without network, token or Redis")
    .option('--local', 'this machine only (all nodes: turnout rollout kill)')
    .option('--undo', 'remove the kill file; nodes that were killed are freed by turnout rollout unkill')
    .option('--reason <why>', 'kept in the file and in the audit trail', parseReason)
    .option('--file <path>', 'the kill file that the nodes watch (TURNOUT_KILL_FILE)')
    .action(
      reportsTo(terminal, async ({ local, undo, reason = 'turnout kill --local', file }: KillOptions) => {
        const hint = "all: turnout rollout kill --reason '…'; this machine's: turnout kill --local";
        if (local !== true) throw new CommandError('usage', 'which nodes?', { hint });
        const given = file ?? setting(terminal.env, 'TURNOUT_KILL_FILE');
        // In full, as the nodes name it.
        const path = given === undefined ? undefined : resolve(given);
        return undo === true ? undone(path) : killed(terminal, reason, path);
      }),
    );
}

async function killed({ clock, env }: Terminal, reason: string, path: string | undefined): Promise<Outcome> {
  const cause = `${localPerson()}: ${reason}`;
  // The file first: it is what still holds when a node is too busy to answer, and after a restart.
  const file = path === undefined ? null : { path, did: makeFile(clock, path, cause) };
  const folder = setting(env, 'TURNOUT_RUN_DIR');
  const nodes = await killLocalNodes({ reason: cause.slice(0, 500), folder });
  if (nodes.length === 0 && file === null) {
    const hint =
      "run it as the gateway's user or as root, or give --file; all nodes: turnout rollout kill --reason '…'";
    const message = "no node of this user's runs here, and TURNOUT_KILL_FILE is not set";
    throw new CommandError('unreachable', message, { hint });
  }
  // As for any other change: what is in the rules holds everywhere, and a kill that is not there holds here alone.
  const holds = nodes.every(({ isKilled }) => isKilled) && !isHereAlone(nodes);
  return { ...report(nodes, file), exit: holds ? 'done' : 'partial' };
}

/** No node that obeys could write the rules: other machines do not know. */
function isHereAlone(nodes: readonly LocalKill[]): boolean {
  const obeying = nodes.filter((node) => node.isKilled);
  return obeying.length > 0 && obeying.every(({ written }) => !written);
}

function undone(path: string | undefined): Outcome {
  if (path === undefined)
    throw new CommandError('usage', 'TURNOUT_KILL_FILE is not set: there is no file to remove', {
      hint: "nodes that were killed are freed by turnout rollout unkill --reason '…'",
    });
  const did = guarded(path, () => removeKillFile(path)) ? 'removed' : 'absent';
  return report([], { path, did });
}

function makeFile(clock: Terminal['clock'], path: string, text: string): 'made' | 'stood' {
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

const report = (nodes: readonly LocalKill[], file: FileReport): Outcome => ({
  json: { nodes, file },
  lines: () => [...nodeLines(nodes), ...(file === null ? [] : fileLines(file))].map(printable),
});

function nodeLines(nodes: readonly LocalKill[]): string[] {
  const lines = nodes.map((node) => {
    if (!node.isKilled) return `NOT KILLED: the node at ${node.socket}: ${node.problem}`;
    const rest = node.written
      ? `all nodes follow with v${node.version}`
      : 'it could not write the rules: other machines have not been told until it can';
    return `KILLED    node ${node.node} obeys; ${rest}`;
  });
  if (isHereAlone(nodes)) lines.push('next      on every other machine: turnout kill --local');
  if (nodes.length > 0) lines.push("next      once the cause is found: turnout rollout unkill --reason '…'");
  return lines;
}

function fileLines({ path, did }: NonNullable<FileReport>): [string, string] {
  const more = 'next      see whether another kill stands: turnout rollout get';
  switch (did) {
    case 'made':
      return [
        `KILLED    nodes that watch ${path} obey within a second`,
        '          it stands until it is removed, over restarts too: turnout kill --local --undo',
      ];
    case 'stood':
      return [
        `KILLED    the kill file ${path} stood already: ${standingKillFile(path)?.text ?? ''}`,
        '          it stands until it is removed: turnout kill --local --undo',
      ];
    case 'removed':
      return [`removed   ${path}: its nodes go back to what the rules say, at the move rate`, more];
    case 'absent':
      return [`nothing   to remove: there is no ${path}`, more];
  }
}
