/** The whole look that `doctor` takes: the settings first, then what they point at, side by side. */
import { fleetFindings } from './fleet.ts';
import { gatewayFindings, keySetFindings, portFinding } from './network.ts';
import { settingsFindings } from './settings.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { GatewayClient, type GatewayOptions } from '../gateway-client.ts';
import { redisUrlFindings } from './redis-probe.ts';
import { setting, type Terminal } from '../terminal.ts';

export async function examine(terminal: Terminal, options: GatewayOptions): Promise<Finding[]> {
  const { env, clock } = terminal;
  const { config, findings } = settingsFindings(env, clock);
  const redisUrl = setting(env, 'TURNOUT_REDIS_URL');
  // As wrong as it may be: the settings' own findings say so.
  const prefix = config?.TURNOUT_REDIS_PREFIX ?? 'turnout';
  const isAsked = options.url !== undefined || setting(env, 'TURNOUT_URL') !== undefined;
  const found = await Promise.all([
    config === undefined ? [] : portFinding(config).then((one) => [one]),
    config === undefined ? [] : keySetFindings(config),
    isAsked ? gatewayFindings(new GatewayClient(terminal, options, []), clock) : [],
    redisUrl === undefined ? [noRedis] : redisUrlFindings(redisUrl, prefix, clock),
    config === undefined ? [] : fleetFindings(config, clock),
  ]);
  return [...findings, ...found.flat()];
}

const noRedis = findingsAbout('log').warning(
  'TURNOUT_REDIS_URL is not set: each process keeps a log of its own, and loses it when it ends',
  'for more than one process, or to keep events over a restart: TURNOUT_REDIS_URL',
);
