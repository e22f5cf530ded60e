/** Starts a node and ends it: SIGTERM and SIGINT drain. No logic of its own. */
import { systemClock } from './clock.ts';
import { ConfigError, readConfig } from './config/config.ts';
import { watchProcess } from './gateway/faults.ts';
import { openGateway } from './gateway/gateway.ts';
import { createLogger } from './logger.ts';

try {
  const config = readConfig();
  const logger = createLogger(config.TURNOUT_LOG_LEVEL);
  const onClosed = (): void => process.exit(process.exitCode ?? 0);
  const gateway = await openGateway({ config, clock: systemClock, logger, onClosed });
  watchProcess(process, gateway, systemClock, config.TURNOUT_DRAIN_MS, () => process.exit());
  // A second signal is not an escape: npm hands on the Ctrl-C that the terminal has sent already.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void gateway.drain());
  logger.info({ url: gateway.url, node: process.version }, 'listening');
  if (gateway.banner.length > 0) process.stdout.write(`\n${gateway.banner.join('\n')}\n\n`);
} catch (error) {
  // Wrong settings, or wrong profiles that they name: a stack would send the reader to the code.
  if (!(error instanceof ConfigError)) throw error;
  for (const problem of error.problems) process.stderr.write(`turnout: ${problem}\n`);
  process.exit(1);
}
