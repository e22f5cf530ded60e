/** What a node's surroundings tell: its port, the issuer's keys, and a gateway that runs, with its clock. */
import { createServer } from 'node:net';
import { z } from 'zod';
import { readySchema } from '../../../schema/http.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { CommandError } from '../exits.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import type { GatewayClient } from '../gateway-client.ts';
import { spanText } from '../spans.ts';

const timeoutMs = 5000;
/** The Date header tells whole seconds: less than this apart can't be told from together. */
const clockWarnMs = 2000;
const clockErrorMs = 30_000;

/** Takes the port for a moment. */
export async function portFinding(config: Config): Promise<Finding> {
  const { TURNOUT_HOST: host, TURNOUT_PORT: port, TURNOUT_BASE_PATH: basePath } = config;
  const { ok, error } = findingsAbout('port');
  if (port === 0) return ok('a free one is taken at the start');
  const where = `${host}:${port}`;
  const problem = await bindProblem(host, port);
  if (problem === undefined) return ok(`${where} is free`);
  if (problem !== 'EADDRINUSE')
    return error(`${where} cannot be taken: ${problem}`, 'check TURNOUT_HOST and TURNOUT_PORT');
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const literal = reachable.includes(':') ? `[${reachable}]` : reachable;
  const { json } = await asked(`http://${literal}:${port}${basePath}/healthz`);
  if (z.object({ status: z.literal('ok') }).safeParse(json).success)
    return ok(`${where} is in use, by a Turnout gateway`);
  return error(`${where} is in use, by something else`, 'end that, or choose another TURNOUT_PORT');
}

function bindProblem(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (thrown: NodeJS.ErrnoException) => resolve(thrown.code ?? thrown.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** An answer of JSON; neither where none came. */
async function asked(url: string): Promise<{ readonly answer?: Response; readonly json?: unknown }> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    return { answer, json: await answer.json() };
  } catch {
    return {};
  }
}

export async function keySetFindings({ TURNOUT_JWKS_URL: url }: Config): Promise<Finding[]> {
  if (url === undefined) return [];
  const { ok, error } = findingsAbout('key set');
  const next = 'without it no token can be verified: check TURNOUT_JWKS_URL and the way there';
  const { answer, json } = await asked(url);
  if (answer === undefined) return [error('cannot be fetched', next)];
  const parsed = z.object({ keys: z.array(z.unknown()) }).safeParse(json);
  if (answer.ok && parsed.success) return [ok(`${parsed.data.keys.length} keys`)];
  return [error(`answers ${answer.status} and no key set`, next)];
}

/** As much as is looked at: what a later gateway says besides is no fault. */
const lookedAt = readySchema.pick({ status: true, log: true, rules: true });

export async function gatewayFindings(client: GatewayClient, clock: Clock): Promise<Finding[]> {
  try {
    const startMs = clock.now();
    const answer = await client.ask('/readyz', { timeoutMs });
    const endMs = clock.now();
    const ready = lookedAt.safeParse(await answer.json().catch(() => undefined));
    const date = Date.parse(answer.headers.get('date') ?? '');
    const found = readyFinding(client.url, ready.data);
    if (!Number.isFinite(date)) return [found];
    // The header was cut to the second: half of one later is the best guess.
    return [found, clockFinding('clock', 'the gateway', date + 500 - (startMs + endMs) / 2)];
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown;
    return [findingsAbout('gateway').error(thrown.message, thrown.details.hint)];
  }
}

function readyFinding(url: string, ready: z.infer<typeof lookedAt> | undefined): Finding {
  const { ok, warning, error } = findingsAbout('gateway');
  if (ready === undefined)
    return error(`${url} answers, but not as a Turnout gateway`, 'check --url, the base path included');
  const { status, log, rules } = ready;
  if (status === 'ok') return ok(`${url} serves, rules v${rules.version}`);
  const parts = [log.up ? [] : `log: ${log.detail}`, rules.up ? [] : `rules: ${rules.detail}`];
  const why = parts.flat().join('; ');
  return warning(`${url} is ${status}${why === '' ? '' : ` (${why})`}`);
}

/** @param offsetMs how far the other's clock is ahead of ours */
export function clockFinding(what: string, whose: string, offsetMs: number): Finding {
  const { ok, warning, error } = findingsAbout(what);
  const apart = Math.abs(offsetMs);
  if (apart < clockWarnMs) return ok(`together with ${whose}'s`);
  const message = `${whose}'s is ${spanText(apart)} ${offsetMs > 0 ? 'ahead of' : 'behind'} ours`;
  const next = 'run NTP on both: tokens expire and moves fall due by these clocks';
  return apart < clockErrorMs ? warning(message, next) : error(message, next);
}
