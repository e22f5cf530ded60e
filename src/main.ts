/** Starts a node and ends it: SIGTERM and SIGINT drain. No logic of its own. */
import { systemClock } from './clock.ts';
import { type Config, ConfigError, readConfig } from './config/config.ts';
import { openGateway } from './gateway/gateway.ts';
import { createLogger } from './logger.ts';

async function main(): Promise<void> {
  const config = settings();
  const logger = createLogger(config.TURNOUT_LOG_LEVEL);
  const gateway = await openGateway({
    config,
    clock: systemClock,
    logger,
    onClosed: () => process.exit(0),
  }).catch(refuse);
  // A second signal is not an escape: npm hands on the Ctrl-C that the terminal has sent already.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void gateway.drain());
  logger.info({ url: gateway.url, node: process.version }, 'listening');
  if (gateway.banner.length > 0) process.stdout.write(`\n${gateway.banner.join('\n')}\n\n`);
}

function settings(): Config {
  try {
    return readConfig();
  } catch (error) {
    return refuse(error);
  }
}

/** Tells what is wrong with the settings, or with the profiles that they name, and ends the process. */
function refuse(error: unknown): never {
  if (!(error instanceof ConfigError)) throw error;
  for (const problem of error.problems) process.stderr.write(`turnout: ${problem}\n`);
  process.exit(1);
}

await main();
