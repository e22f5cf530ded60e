/**
 * The settings of a node, from the environment. Sole reader of process.env. Every error is collected and told at once, by
 * variable name and without values: a value may be a secret.
 */
import { z } from 'zod';

const text = z.string().trim();
const int = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  text
    .regex(/^-?\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));
const flag = text.toLowerCase().transform((value, context) => {
  if (['true', '1', 'on', 'yes'].includes(value)) return true;
  if (['false', '0', 'off', 'no'].includes(value)) return false;
  context.addIssue('must be true or false');
  return z.NEVER;
});
const list = text.transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const percent = text
  .regex(/^\d{1,3}(\.\d{1,2})?$/, 'must be a percentage with at most two decimals')
  .transform(Number)
  .pipe(z.number().min(0).max(100));
/** A percentage, or `true` for everybody and `false` for nobody: one flag's whole setting in one variable. */
const share = z.preprocess((value) => {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
  if (word === 'true' || word === 'on') return '100';
  return word === 'false' || word === 'off' ? '0' : value;
}, percent.optional());
const url = text.refine((value) => URL.canParse(value), 'must be a URL');

const variables = {
  TURNOUT_PORT: int(0, 65_535).default(4000),
  TURNOUT_HOST: text.default('127.0.0.1'),
  TURNOUT_BASE_PATH: text
    .regex(/^(\/[A-Za-z0-9._~-]+)*$/, 'must be empty or start with / and end without one')
    .default(''),
  TURNOUT_ORIGINS: list.default([]),
  TURNOUT_TRUSTED_PROXIES: list.default([]),
  TURNOUT_NODE_ID: text.regex(/^[A-Za-z0-9._-]{1,64}$/).optional(),
  TURNOUT_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  TURNOUT_JWT_SECRET: text.min(16, 'must have 16 characters or more').optional(),
  TURNOUT_JWT_PUBLIC_KEY: text.optional(),
  TURNOUT_JWKS_URL: url.optional(),
  TURNOUT_JWT_LEEWAY_S: int(0, 300).default(0),
  TURNOUT_TICKET_SECRET: text.min(16, 'must have 16 characters or more').optional(),
  TURNOUT_ADMIN_TOKEN: text.min(16, 'must have 16 characters or more').optional(),
  TURNOUT_DEMO: flag.optional(),
  TURNOUT_PING_MS: int(100, 3_600_000).default(30_000),
  TURNOUT_RETENTION_MS: int(1000).default(24 * 3_600_000),
  TURNOUT_RETENTION_EVENTS: int(1).default(100_000),
  TURNOUT_RETENTION_BYTES: int(1024).default(256 * 1024 * 1024),
  TURNOUT_RING_BYTES: int(64 * 1024).default(64 * 1024 * 1024),
  TURNOUT_FEED_LINGER_MS: int(0, 600_000).default(5000),
  TURNOUT_MOVE_RATE: int(1).default(200),
  TURNOUT_MOVE_WITHIN_MS: int(0, 600_000).default(5000),
  TURNOUT_DRAIN_MS: int(0, 10_000).default(5000),
  TURNOUT_KILL_WINDOW_MS: int(0, 600_000).default(2000),
  TURNOUT_POLL_CAPACITY: int(1).default(2000),
  TURNOUT_KILL_FILE: text.optional(),
  TURNOUT_ALLOW_OVERRIDE: flag.default(false),
  TURNOUT_RULES_MAX_AGE: int(0).default(0),
  TURNOUT_MAX_CONNECTIONS: int(1).default(100_000),
  TURNOUT_MAX_CONNECTIONS_PER_USER: int(1).optional(),
  TURNOUT_MAX_CONNECTIONS_PER_ADDRESS: int(1).default(10_000),
  TURNOUT_MAX_HELD_POLLS: int(1).default(100_000),
  TURNOUT_MAX_REQUESTS_PER_ADDRESS_S: int(1).default(2000),
  TURNOUT_COMPRESS_MIN_BYTES: int(1).default(1024),
  REALTIME_STREAMING_V2: flag.optional(),
  REALTIME_ROLLOUT_PERCENT: percent.optional(),
  REALTIME_WHITELIST: list.optional(),
  WS_AUTORECONNECT: share,
} as const;

type Variables = { readonly [K in keyof typeof variables]: z.output<(typeof variables)[K]> };

export interface Config extends Variables {
  /** True where no secret was given: one is made up for this run, on a loopback host only. */
  readonly isDemo: boolean;
}

/** What is wrong with the environment: one line a variable, none with its value. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const loopback = new Set(['127.0.0.1', '::1', 'localhost']);

export const isLoopbackHost = (host: string): boolean => loopback.has(host) || host.startsWith('127.');

/** @throws ConfigError with every problem. An empty value counts as absent. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const problems: string[] = [];
  const read: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(variables)) {
    const raw = env[name]?.trim() === '' ? undefined : env[name];
    const parsed = (schema as z.ZodType).safeParse(raw);
    if (parsed.success) read[name] = parsed.data;
    else problems.push(`${name} ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  // Each name of `variables` was parsed by its own schema above, or its problem is about to be thrown.
  const values = read as unknown as Variables;

  const keys = [values.TURNOUT_JWT_SECRET, values.TURNOUT_JWT_PUBLIC_KEY, values.TURNOUT_JWKS_URL];
  const hasKey = keys.some((key) => key !== undefined);
  if (keys.filter((key) => key !== undefined).length > 1)
    problems.push('TURNOUT_JWT_SECRET, TURNOUT_JWT_PUBLIC_KEY, TURNOUT_JWKS_URL: give one of them');
  if (!hasKey && problems.length === 0 && !isLoopbackHost(values.TURNOUT_HOST))
    problems.push('TURNOUT_JWT_SECRET (or TURNOUT_JWT_PUBLIC_KEY, TURNOUT_JWKS_URL) is needed off loopback');
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({ ...values, isDemo: values.TURNOUT_DEMO ?? !hasKey });
}
