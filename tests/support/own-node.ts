/** A gateway in the test's own process, on loopback, with the lines that it logged. */
import { systemClock } from '../../src/clock.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { testAdminToken, testSecret } from './token-maker.ts';

/** Opens it with the tests' secret and admin token, and everybody on WebSocket, unless `env` says otherwise. */
export async function openNode(env: Environment = {}) {
  const lines: string[] = [];
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_ADMIN_TOKEN: testAdminToken,
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
    ...env,
  });
  const logger = createLogger('trace', { write: (line) => void lines.push(line) });
  const gateway = await openGateway({ config, clock: systemClock, logger });
  return { url: gateway.url, lines, drain: () => gateway.drain() };
}

export type OwnNode = Awaited<ReturnType<typeof openNode>>;
