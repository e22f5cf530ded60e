/** `turnout doctor`: looks a node's environment and surroundings over, and changes nothing. */
import type { Command } from 'commander';
import { gatewayFindings, keySetFindings, portFinding } from './doctor-network.ts';
import { settingsFindings } from './doctor-settings.ts';
import type { Exit } from './exits.ts';
import { type Finding, findingLines, reportOf, warning } from './findings.ts';
import { gatewayClient } from './gateway-client.ts';
import { type OutputOptions, reportsTo, withOutput } from './options.ts';
import { printable } from './printable.ts';
import { redisUrlFindings } from './redis-probe.ts';
import { setting, type Terminal } from './terminal.ts';

interface DoctorOptions extends OutputOptions {
  readonly url?: string;
}

export function addDoctorCommand(program: Command, terminal: Terminal): void {
  withOutput(program.command('doctor'))
    .description(
      "look a node's settings, port, keys, clock and Redis over; run it with the node's environment",
    )
    .option('--url <url>', 'a gateway that runs, to compare clocks with (TURNOUT_URL)')
    .action(
      reportsTo(terminal, async (options: DoctorOptions): Promise<Exit> => {
        const report = reportOf(await examine(terminal, options));
        const lines =
          options.output === 'json' ? [JSON.stringify(report)] : findingLines(report).map(printable);
        await terminal.print(...lines);
        return report.healthy ? 'done' : 'usage';
      }),
    );
}

async function examine(terminal: Terminal, options: DoctorOptions): Promise<Finding[]> {
  const { env, clock } = terminal;
  const { config, findings } = settingsFindings(env, clock);
  const redisUrl = setting(env, 'TURNOUT_REDIS_URL');
  const isAsked = options.url !== undefined || setting(env, 'TURNOUT_URL') !== undefined;
  const found = await Promise.all([
    config === undefined ? [] : portFinding(config).then((one) => [one]),
    config === undefined ? [] : keySetFindings(config),
    isAsked ? gatewayFindings(gatewayClient(terminal, options, []), clock) : [],
    redisUrl === undefined ? [noRedis] : redisUrlFindings(redisUrl, clock),
  ]);
  return [...findings, ...found.flat()];
}

const noRedis = warning(
  'log',
  'TURNOUT_REDIS_URL is not set: each process keeps a log of its own, and loses it when it ends',
  'for more than one process, or to keep events over a restart: TURNOUT_REDIS_URL',
);
