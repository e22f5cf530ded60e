/** What a log line says of a close, and what no line may ever hold. */
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/logger.ts';
import { type CloseReport, logClose } from '../../src/transports/close-report.ts';
import { fail } from '../../src/errors.ts';
import { makeToken } from '../support/tokens.ts';

function listen(level = 'info') {
  const lines: string[] = [];
  const logger = createLogger(level, { write: (line) => void lines.push(line) });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> };
}

describe('a log line', () => {
  it('holds no secret, however deep, in a URL, in an error or in its text', async () => {
    const { logger, lines } = listen('debug');
    const jwt = await makeToken();
    const secret = 's3cr3t-value';
    const cause = new Error(`GET /v2/realtime/stream?access_token=${secret} failed`);
    logger.info({ headers: { Authorization: `Bearer ${jwt}`, cookie: secret } }, 'in');
    logger.info({
      a: [{ b: { access_token: secret, ticket: secret, password: secret, TURNOUT_JWT_SECRET: secret } }],
    });
    logger.info({ req: { url: `/v2/realtime/stream?ticket=${secret}` } });
    logger.info(`opened /stream?access_token=${secret}&x=1 with Bearer ${secret}`);
    logger.error({ err: fail('internal', undefined, { cause }) }, `no good: ${jwt}`);
    logger.error(cause);
    logger.child({ token: secret }).warn({ text: jwt }, 'child');
    expect(lines).toHaveLength(7);
    for (const line of lines) {
      expect(line).not.toContain(secret);
      expect(line).not.toContain(jwt);
    }
    expect(lines[2]).toContain('"/v2/realtime/stream"');
  });

  it('is JSON with a level by name, a time and the message', () => {
    const { logger, last } = listen();
    logger.info({ url: 'http://127.0.0.1:4000' }, 'listening');
    expect(last()).toMatchObject({ level: 'info', url: 'http://127.0.0.1:4000', msg: 'listening' });
    expect(last()['time']).toMatch(/^\d{4}-.*Z$/);
  });

  it('is left out below the level', () => {
    const { logger, lines } = listen('warn');
    logger.info('nothing');
    expect(lines).toEqual([]);
  });
});

describe('the close line', () => {
  const close: CloseReport = {
    connection: 'c1',
    org: 'acme',
    user: 'u1',
    session: 's1',
    services: new Set(['chat/t-7', 'finance']),
    code: 4401,
    reason: 'unauthorized',
    durationMs: 61_234.5,
    isPlanned: false,
    wasLive: true,
  };

  it('says who, where, why and how long', () => {
    const { logger, last } = listen();
    logClose(logger, close);
    expect(last()).toMatchObject({
      msg: 'stream closed',
      thread_id: 't-7',
      user_id: 'u1',
      org: 'acme',
      code: 4401,
      reason: 'unauthorized',
      duration: 61.235,
      duration_ms: 61_235,
      connection: 'c1',
      session: 's1',
      transport: 'websocket',
    });
  });

  it('leaves out what is not known', () => {
    const { logger, last } = listen();
    logClose(logger, {
      ...close,
      org: '',
      user: '',
      session: undefined,
      services: new Set(['chat/t-7', 'chat/t-8']),
      reason: undefined,
    });
    expect(last()).not.toHaveProperty('user_id');
    expect(last()).not.toHaveProperty('thread_id');
    expect(last()['reason']).toBe('peer');
  });
});
