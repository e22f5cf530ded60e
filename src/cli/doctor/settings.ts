/** What the environment of a node tells before it is started: problems, keys by their fingerprints, brakes. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { createAuthenticator } from '../../auth/authenticator.ts';
import type { Clock } from '../../clock.ts';
import { type Config, ConfigError, type Environment, readConfig } from '../../config/config.ts';
import { fingerprint, keyPrints } from '../../auth/key-prints.ts';
import { loadProfiles } from '../../legacy/profile/load.ts';
import { capsOf } from '../../rollout/rules/environment.ts';
import { error, type Finding, ok, warning } from '../findings.ts';
import { standingKillFile } from '../kill-file.ts';
import { sinceText } from '../spans.ts';

export interface SettingsVerdict {
  /** Undefined where the settings could not be read. */
  readonly config: Config | undefined;
  readonly findings: readonly Finding[];
}

export function settingsFindings(env: Environment, clock: Clock): SettingsVerdict {
  try {
    const config = readConfig(env);
    // Reads the key, as a node does at its start.
    createAuthenticator(config, clock);
    const { TURNOUT_PROFILES: places, TURNOUT_HOST: host, TURNOUT_PORT: port } = config;
    const { warnings } = loadProfiles(places, env, { host, port });
    const findings = [
      ok('settings', 'can be read'),
      ...warnings.map((line) => warning('profiles', line)),
      ...keyFindings(config),
      capFinding(config),
      ...killFileFindings(config, clock.now()),
    ];
    return { config, findings };
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    const next = 'docs/CONFIGURATION.md lists every variable; a node does not start with these';
    return {
      config: undefined,
      findings: thrown.problems.map((problem) => error('settings', problem, next)),
    };
  }
}

const same = 'must be the same on every node';

function keyFindings(config: Config): Finding[] {
  const { TURNOUT_JWT_SECRET: secret, TURNOUT_JWT_PUBLIC_KEY: pem, TURNOUT_JWKS_URL: jwks } = config;
  const { TURNOUT_TICKET_SECRET: ticketSecret, TURNOUT_ADMIN_TOKEN: adminToken } = config;
  const findings: Finding[] = [];
  const { signing = '' } = keyPrints(config);
  for (const name of config.shortSecrets)
    findings.push(
      warning(
        name,
        'short enough to be guessed',
        'give it 16 random characters or more: `openssl rand -hex 32`',
      ),
    );
  if (secret !== undefined) findings.push(ok('signing key', `TURNOUT_JWT_SECRET ${signing}: ${same}`));
  else if (pem !== undefined) findings.push(ok('signing key', `TURNOUT_JWT_PUBLIC_KEY ${signing}: ${same}`));
  else if (jwks !== undefined) findings.push(ok('signing key', `TURNOUT_JWKS_URL ${signing}: ${same}`));
  else if (config.TURNOUT_AUTH_URL !== undefined)
    findings.push(ok('signing key', `none: TURNOUT_AUTH_URL says who is asking: ${same}`));
  else
    findings.push(
      warning(
        'signing key',
        'none: a demo, which makes up a secret at every start',
        'set TURNOUT_JWT_SECRET, TURNOUT_JWT_PUBLIC_KEY or TURNOUT_JWKS_URL',
      ),
    );
  // One key of one's own signs for oneself; a key set is an issuer's, who signs for others as well.
  if (jwks !== undefined && config.TURNOUT_JWT_AUDIENCE === undefined)
    findings.push(
      warning(
        'audience',
        'not looked at: what that issuer signs for any other service is good here too',
        'set TURNOUT_JWT_AUDIENCE (docs/guides/identity.md)',
      ),
    );
  if (ticketSecret !== undefined)
    findings.push(ok('ticket key', `TURNOUT_TICKET_SECRET ${fingerprint(ticketSecret)}: ${same}`));
  else if (secret !== undefined) findings.push(ok('ticket key', `derived from TURNOUT_JWT_SECRET: ${same}`));
  else if (config.TURNOUT_REDIS_URL !== undefined && config.hasKey)
    findings.push(ok('ticket key', 'the one that the nodes share in Redis'));
  else if (!config.isDemo)
    findings.push(
      warning(
        'ticket key',
        'made up at every start: other nodes refuse the tickets of this one',
        'with more than one node set the same TURNOUT_TICKET_SECRET on each',
      ),
    );
  if (adminToken !== undefined)
    findings.push(ok('admin token', `TURNOUT_ADMIN_TOKEN ${fingerprint(adminToken)}: ${same}`));
  return findings;
}

function capFinding(config: Config): Finding {
  const caps = capsOf(config);
  if (caps.length === 0) return ok('cap', 'none: this node serves what the rules say');
  return warning(
    'cap',
    `this node stays at long-poll whatever the rules say, by ${caps.join(' and ')}`,
    'unset it and restart the node, once it shall serve WebSocket',
  );
}

function killFileFindings({ TURNOUT_KILL_FILE: path }: Config, nowMs: number): Finding[] {
  if (path === undefined) return [];
  const undo = 'turnout kill --local --undo, once the cause is found';
  try {
    const standing = standingKillFile(path);
    if (standing !== undefined) {
      const since = sinceText(standing.since, nowMs);
      return [
        warning('kill file', `${path} stands since ${since}: this node is killed. ${standing.text}`, undo),
      ];
    }
    if (!existsSync(dirname(path)))
      return [
        warning('kill file', `${path}: its folder does not exist`, 'make it, or nobody can kill by file'),
      ];
    return [ok('kill file', `none at ${path}`)];
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'it failed';
    return [error('kill file', `${path} cannot be looked at: ${why}`, "run this as the gateway's user")];
  }
}
