/** What the environment of a node tells before it is started: problems, keys by their fingerprints, brakes. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { adminRolesNote } from '../../auth/admin-roles.ts';
import { createAuthenticator } from '../../auth/authenticator.ts';
import type { Clock } from '../../clock.ts';
import { type Config, ConfigError, type Environment, readConfig } from '../../config/config.ts';
import { fingerprint, keyPrints } from '../../auth/key-prints.ts';
import { loadProfiles } from '../../legacy/profile/load.ts';
import { capsOf } from '../../rollout/rules/environment.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { standingKillFile } from '../kill-file.ts';
import { sinceText } from '../spans.ts';

/** @returns `config` undefined where the settings could not be read */
export function settingsFindings(
  env: Environment,
  clock: Clock,
): { config: Config | undefined; findings: Finding[] } {
  const { ok, error } = findingsAbout('settings');
  try {
    const config = readConfig(env);
    // Reads the key, as a node does at its start.
    createAuthenticator(config, clock);
    const { TURNOUT_PROFILES: places, TURNOUT_HOST: host, TURNOUT_PORT: port } = config;
    const { TURNOUT_KILL_FILE: killFile } = config;
    const { warnings } = loadProfiles(places, env, { host, port });
    const findings = [
      ok('can be read'),
      ...warnings.map((line) => findingsAbout('profiles').warning(line)),
      ...keyFindings(config),
      capFinding(config),
      ...(killFile === undefined ? [] : [killFileFinding(killFile, clock.now())]),
    ];
    return { config, findings };
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    const next = 'docs/CONFIGURATION.md lists every variable; a node does not start with these';
    return { config: undefined, findings: thrown.problems.map((problem) => error(problem, next)) };
  }
}

const same = 'must be the same on every node';

function keyFindings(config: Config): Finding[] {
  const { TURNOUT_ADMIN_TOKEN: adminToken, TURNOUT_JWKS_URL: jwks, TURNOUT_JWT_AUDIENCE: audience } = config;
  // One key of one's own signs for oneself; a key set is an issuer's, who signs for others as well.
  const takesAll = findingsAbout('audience').warning(
    'not looked at: what that issuer signs for any other service is good here too',
    'set TURNOUT_JWT_AUDIENCE (docs/guides/identity.md)',
  );
  const short = config.shortSecrets.map((name) =>
    findingsAbout(name).warning(
      'short enough to be guessed',
      'give it 16 random characters or more: `openssl rand -hex 32`',
    ),
  );
  const admin = `TURNOUT_ADMIN_TOKEN ${fingerprint(adminToken ?? '')}: ${same}`;
  return [
    short,
    signingFinding(config),
    jwks !== undefined && audience === undefined ? takesAll : [],
    adminRolesFinding(config) ?? [],
    ticketFinding(config) ?? [],
    adminToken === undefined ? [] : findingsAbout('admin token').ok(admin),
  ].flat();
}

function signingFinding(config: Config): Finding {
  const { ok, warning } = findingsAbout('signing key');
  const names = ['TURNOUT_JWT_SECRET', 'TURNOUT_JWT_PUBLIC_KEY', 'TURNOUT_JWKS_URL'] as const;
  const name = names.find((one) => config[one] !== undefined);
  if (name !== undefined) return ok(`${name} ${keyPrints(config).signing ?? ''}: ${same}`);
  if (config.TURNOUT_AUTH_URL !== undefined) return ok(`none: TURNOUT_AUTH_URL says who is asking: ${same}`);
  return warning(
    'none: a demo, which makes up a secret at every start',
    'set TURNOUT_JWT_SECRET, TURNOUT_JWT_PUBLIC_KEY or TURNOUT_JWKS_URL',
  );
}

function adminRolesFinding(config: Config): Finding | undefined {
  const { ok, warning } = findingsAbout('admin roles');
  const note = adminRolesNote(config);
  if (note === undefined) return undefined;
  return note.level === 'warn' ? warning(note.message, note.next) : ok(note.message);
}

function ticketFinding(config: Config): Finding | undefined {
  const { ok, warning } = findingsAbout('ticket key');
  const secret = config.TURNOUT_TICKET_SECRET;
  if (secret !== undefined) return ok(`TURNOUT_TICKET_SECRET ${fingerprint(secret)}: ${same}`);
  if (config.TURNOUT_JWT_SECRET !== undefined) return ok(`derived from TURNOUT_JWT_SECRET: ${same}`);
  if (config.TURNOUT_REDIS_URL !== undefined && config.hasKey)
    return ok('the one that the nodes share in Redis');
  if (config.isDemo) return undefined;
  return warning(
    'made up at every start: other nodes refuse the tickets of this one',
    'with more than one node set the same TURNOUT_TICKET_SECRET on each',
  );
}

function capFinding(config: Config): Finding {
  const { ok, warning } = findingsAbout('cap');
  const caps = capsOf(config);
  if (caps.length === 0) return ok('none: this node serves what the rules say');
  return warning(
    `this node stays at long-poll whatever the rules say, by ${caps.join(' and ')}`,
    'unset it and restart the node, once it shall serve WebSocket',
  );
}

function killFileFinding(path: string, nowMs: number): Finding {
  const { ok, warning, error } = findingsAbout('kill file');
  try {
    const standing = standingKillFile(path);
    if (standing !== undefined)
      return warning(
        `${path} stands since ${sinceText(standing.since, nowMs)}: this node is killed. ${standing.text}`,
        'turnout kill --local --undo, once the cause is found',
      );
    if (existsSync(dirname(path))) return ok(`none at ${path}`);
    return warning(`${path}: its folder does not exist`, 'make it, or nobody can kill by file');
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'it failed';
    return error(`${path} cannot be looked at: ${why}`, "run this as the gateway's user");
  }
}
