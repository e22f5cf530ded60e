/**
 * The settings of a node, from the environment. Sole reader of process.env. Every error is collected and told at once, by
 * variable name and without values: a value may be a secret.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { orgSchema } from '../schema/envelope.ts';
import { servicePatternSchema } from '../schema/token.ts';
import { parseRedisUrl } from './redis-url.ts';
import { readPublicKey } from './public-key.ts';

// `takes` says in docs/CONFIGURATION.md what a value may be.
const text = z.string().trim().meta({ takes: 'text' });
const int = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  text
    .regex(/^-?\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .meta({ takes: max === Number.MAX_SAFE_INTEGER ? `whole, from ${min}` : `whole, ${min} to ${max}` });
const secret = text.min(16, 'must have 16 characters or more').meta({ takes: 'text, 16 characters or more' });
const flag = text
  .toLowerCase()
  .transform((value, context) => {
    if (['true', '1', 'on', 'yes'].includes(value)) return true;
    if (['false', '0', 'off', 'no'].includes(value)) return false;
    context.addIssue('must be true or false');
    return z.NEVER;
  })
  .meta({ takes: '`true` or `false`' });
const list = text
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )
  .meta({ takes: 'list, separated by commas' });
const percent = text
  .regex(/^\d{1,3}(\.\d{1,2})?$/, 'must be a percentage with at most two decimals')
  .transform(Number)
  .pipe(z.number().min(0).max(100))
  .meta({ takes: '0 to 100, at most two decimals' });
/** A percentage, or `true` for everybody and `false` for nobody: one flag's whole setting in one variable. */
const share = z
  .preprocess((value) => {
    const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
    if (word === 'true' || word === 'on') return '100';
    return word === 'false' || word === 'off' ? '0' : value;
  }, percent.optional())
  .meta({ takes: '`true`, `false`, or 0 to 100' });
/** `https://app.example.com`: a scheme and a host, and nothing behind them. */
function isOrigin(origin: string): boolean {
  return URL.canParse(origin) && new URL(origin).origin.toLowerCase() === origin.toLowerCase();
}

function isPlainHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/** `10.0.0.0/8`, `::1`. */
function isAddressOrRange(proxy: string): boolean {
  const [address = '', bits, ...more] = proxy.split('/');
  const most = { 4: 32, 6: 128 }[isIP(address)] ?? -1;
  const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  return more.length === 0 && most > 0 && isRange;
}
const redisUrl = text.superRefine((value, context) => {
  try {
    parseRedisUrl(value);
  } catch (error) {
    // These messages name no part of the URL: it may hold a password.
    context.addIssue(error instanceof Error ? error.message : 'must be a Redis URL');
  }
});
const url = text.refine((value) => URL.canParse(value), 'must be a URL').meta({ takes: 'URL' });
const httpUrl = text
  .refine(isPlainHttpUrl, 'must be an http or https URL, without user and password')
  .meta({ takes: '`http://` or `https://` URL' });
/** `sub`, `user.id`, or a claim that is named by a URL. */
const place = text
  .regex(/^\S{1,256}$/, 'must be the name of a claim or field, or a dotted path to one')
  .meta({ takes: 'name or dotted path' });

const variables = {
  TURNOUT_PORT: int(0, 65_535)
    .default(4000)
    .describe('Port of everything that this node serves; 0 takes a free one.'),
  TURNOUT_HOST: text
    .default('127.0.0.1')
    .describe('Address to listen on. Off loopback a key for tokens is needed.'),
  TURNOUT_BASE_PATH: text
    .regex(/^(\/[A-Za-z0-9._~-]+)*$/, 'must be empty or start with / and end without one')
    .default('')
    .describe('Stands before every path, as `/live` in `/live/v1/realtime/poll`.'),
  TURNOUT_ORIGINS: list
    .refine(
      (origins) => origins.every((origin) => origin === '*' || isOrigin(origin)),
      'must be a list of origins such as https://app.example.com, or *',
    )
    .default([])
    .describe('Browser origins that may call and open streams, or `*`; empty: the same origin only.'),
  TURNOUT_TRUSTED_PROXIES: list
    .refine((proxies) => proxies.every(isAddressOrRange), 'must be a list of addresses and CIDR ranges')
    .default([])
    .describe('Addresses and CIDR ranges whose `X-Forwarded-For` is believed.'),
  TURNOUT_NODE_ID: text
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .optional()
    .describe('Name of this node in acknowledgements and logs; absent: made up at start.'),
  TURNOUT_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('From which level on lines are logged.'),
  TURNOUT_JWT_SECRET: secret
    .optional()
    .describe('Verifies tokens signed with HS256. Give one of this and the next two; none: the demo.'),
  TURNOUT_JWT_PUBLIC_KEY: text
    .superRefine((pem, context) => {
      try {
        readPublicKey(pem);
      } catch (error) {
        context.addIssue(error instanceof Error ? error.message : 'must be a public key');
      }
    })
    .optional()
    .describe('Verifies tokens signed with RS256, ES256 or EdDSA: a public key in PEM.'),
  TURNOUT_JWKS_URL: url.optional().describe('The same, with the keys that stand at this address.'),
  TURNOUT_JWT_LEEWAY_S: int(0, 300).default(0).describe('Seconds for which an expired token is still good.'),
  TURNOUT_CLAIM_USER: place
    .default('sub')
    .describe('Where the user stands in a token: `sub`, `user.id`, `https://example.com/user`.'),
  TURNOUT_CLAIM_ORG: place.optional().describe('Where the org stands in a token; absent: `org`.'),
  TURNOUT_CLAIM_GRANTS: place
    .optional()
    .describe(
      "Where in a token the object stands that holds `services`, `publish`, `roles` and `orgs`; absent: the token itself. To be set where the issuer's own `roles` mean something else.",
    ),
  TURNOUT_ORG: text
    .refine((value) => orgSchema.safeParse(value).success, 'must be 1 to 128 of A-Z a-z 0-9 . _ @ : -')
    .optional()
    .describe('The org of every user, whatever tokens and the auth server say.'),
  TURNOUT_USER_PUBLISH: list
    .refine(
      (patterns) => patterns.every((pattern) => servicePatternSchema.safeParse(pattern).success),
      'must be a list of services, or of patterns such as chat/*',
    )
    .default([])
    .describe('Services that a user may publish to where no claim `publish` says which.'),
  TURNOUT_AUTH_COOKIE: text
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'must be the name of a cookie')
    .optional()
    .describe(
      "Name of the cookie that is taken where no `Authorization` header comes: for polls; for what changes something or opens a stream, from this origin's and `TURNOUT_ORIGINS`' pages only.",
    ),
  TURNOUT_AUTH_URL: httpUrl
    .optional()
    .describe(
      'Asked whose a credential is that no key verifies: a GET with it and nothing else, answered 2xx with JSON. With it, no key for tokens is needed.',
    ),
  TURNOUT_AUTH_USER: place.default('user').describe("Where the user stands in that server's answer."),
  TURNOUT_AUTH_ORG: place.optional().describe("Where the org stands in that server's answer; absent: `org`."),
  TURNOUT_AUTH_CACHE_S: int(1, 3600)
    .default(30)
    .describe('Seconds for which its answer is good: a withdrawn credential outlives its end by no more.'),
  TURNOUT_AUTH_TIMEOUT_MS: int(50, 30_000).default(3000).describe('How long that server may take.'),
  TURNOUT_AUTH_OUTAGE_S: int(0, 86_400)
    .default(300)
    .describe('How long an open stream stays while that server cannot be asked; new ones are answered 503.'),
  TURNOUT_TICKET_SECRET: secret
    .optional()
    .describe('Signs tickets; absent: derived from the JWT secret, or random for this run.'),
  TURNOUT_ADMIN_TOKEN: secret.optional().describe('A bearer token that may do everything at the admin API.'),
  TURNOUT_DEMO: flag
    .optional()
    .describe(
      'The demo: printed tokens and a sample backend. Absent: on where neither a key for tokens nor Redis is given.',
    ),
  TURNOUT_DEMO_CROWD: int(0, 500).default(60).describe("Made-up users that the demo's page shows; 0: none."),
  TURNOUT_PING_MS: int(100, 3_600_000)
    .default(30_000)
    .describe('Time between two `ping` frames of a stream.'),
  TURNOUT_REDIS_URL: redisUrl
    .meta({ takes: '`redis://`, `rediss://`, `redis+cluster://`, `redis+sentinel://`' })
    .optional()
    .describe(
      'Where the log lives that all nodes share: `redis://user:password@host:6379/0`, `redis+cluster://host:7000,host:7001`, `redis+sentinel://host:26379,host:26380/mymaster`, each with `rediss` for TLS. Absent: the embedded log, in memory, for a single node.',
    ),
  TURNOUT_REDIS_PREFIX: text
    .regex(/^[A-Za-z0-9._:-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ : -')
    .default('turnout')
    .describe('Begins the name of every key and channel in Redis.'),
  TURNOUT_REDIS_TIMEOUT_MS: int(50, 60_000)
    .default(2000)
    .describe('How long a command to Redis may take; a publish past it is answered 503.'),
  TURNOUT_RETENTION_MS: int(1000)
    .default(24 * 3_600_000)
    .describe('Age from which an event is dropped from the log.'),
  TURNOUT_RETENTION_EVENTS: int(1).default(100_000).describe('Events that the log keeps of an org.'),
  TURNOUT_RETENTION_BYTES: int(1024)
    .default(256 * 1024 * 1024)
    .describe('Bytes of JSON that the embedded log, and every ring, keeps of an org.'),
  TURNOUT_RING_BYTES: int(64 * 1024)
    .default(64 * 1024 * 1024)
    .describe('Bytes of recent events that a node keeps at hand, all orgs together.'),
  TURNOUT_FEED_LINGER_MS: int(0, 600_000)
    .default(5000)
    .describe("How long an org's subscription outlives its last reader."),
  TURNOUT_MOVE_RATE: int(1)
    .default(200)
    .describe('Users a second that a change of the percentage, or the end of a kill, moves.'),
  TURNOUT_MOVE_WITHIN_MS: int(0, 600_000)
    .default(5000)
    .describe('How long a stream stays open after `migrate`.'),
  TURNOUT_DRAIN_MS: int(0, 10_000)
    .default(5000)
    .describe(
      'How long streams have to go elsewhere after SIGTERM before they are closed with 1012. Held polls are answered over its first half.',
    ),
  TURNOUT_KILL_WINDOW_MS: int(0, 600_000)
    .default(2000)
    .describe('Time over which a kill sends people to long-poll; longer where there are many.'),
  TURNOUT_POLL_CAPACITY: int(1)
    .default(2000)
    .describe('Polls a second that a node can take: a kill that brings more is spread longer.'),
  TURNOUT_KILL_FILE: text
    .optional()
    .describe('Path of a file; while it exists, everybody on this node is on long-poll.'),
  TURNOUT_PROFILES: list
    .default([])
    .describe(
      'Profiles of APIs that were there before (schema/profile.ts): files, or folders whose `.yaml`, `.yml` and `.json` are taken. A node does not start with a wrong one.',
    ),
  TURNOUT_LEGACY_CONNECTIONS: int(1)
    .default(10_000)
    .describe(
      'Connections to each old backend, one for each request that it holds; past them a request waits 2 s, then is answered 503.',
    ),
  TURNOUT_BRIDGE: flag
    .default(true)
    .describe(
      "Whether this node may bridge: read the profiles' sources into the log. One node at a time does, the others stand by.",
    ),
  TURNOUT_ALLOW_OVERRIDE: flag
    .default(false)
    .describe('Whether a client may choose its transport by `override` in negotiate.'),
  TURNOUT_RULES_MAX_AGE: int(0)
    .default(0)
    .describe('Milliseconds without reading the shared rules after which they count as lost; 0: never.'),
  TURNOUT_RULES_STALE: z
    .enum(['hold', 'long-poll'])
    .default('hold')
    .describe('What lost rules mean: `hold` goes on by the last ones, `long-poll` takes everybody there.'),
  TURNOUT_RUN_DIR: text
    .optional()
    .describe(
      'Folder where `turnout kill --local` finds this node; absent: one of its user in the temporary folder.',
    ),
  TURNOUT_MAX_CONNECTIONS: int(1)
    .default(100_000)
    .describe('Open streams of a node; one more is closed with 1013.'),
  TURNOUT_MAX_CONNECTIONS_PER_USER: int(1)
    .optional()
    .describe(
      'Streams of a user; one more closes the oldest with 4409. Absent: 256, and 5000 on a loopback host.',
    ),
  TURNOUT_MAX_CONNECTIONS_PER_ADDRESS: int(1)
    .default(10_000)
    .describe('Streams from one address. Not yet in effect.'),
  TURNOUT_MAX_HELD_POLLS: int(1).default(100_000).describe('Polls held at a time; one more is answered 503.'),
  TURNOUT_MAX_REQUESTS_PER_ADDRESS_S: int(1)
    .default(2000)
    .describe('Requests a second from one address; not counted for loopback.'),
  TURNOUT_COMPRESS_MIN_BYTES: int(1)
    .default(1024)
    .describe('From this size on an event frame is compressed, for clients that offered it.'),
  REALTIME_STREAMING_V2: flag
    .optional()
    .describe(
      'The flag of the new transport. Writes the first rules; absent: off. An explicit `false` also holds this node at long-poll.',
    ),
  REALTIME_ROLLOUT_PERCENT: percent
    .optional()
    .describe(
      'Percentage of users on WebSocket while the flag is on. Writes the first rules; absent: 0. An explicit `0` also holds this node at long-poll.',
    ),
  REALTIME_WHITELIST: list
    .optional()
    .describe('Users on WebSocket whatever the percentage, as `user` or `org/user`. Writes the first rules.'),
  WS_AUTORECONNECT: share.describe(
    'For whom the SDK reconnects by itself. Writes the first rules; absent: what `flags/feature.json` says.',
  ),
} as const;

/** One variable as docs/CONFIGURATION.md lists it. */
export interface Setting {
  readonly name: string;
  readonly description: string;
  /** What a value may be. */
  readonly takes: string;
  /** What holds where the variable is absent; undefined: nothing. */
  readonly fallback: string | number | boolean | readonly string[] | undefined;
}

/** Every variable, in the order to list them. */
export const settings: readonly Setting[] = Object.entries(variables).map(([name, schema]) => ({
  name,
  description: schema.description ?? '',
  takes: takesOf(schema),
  fallback: schema.parse(undefined),
}));

function takesOf(schema: z.ZodType): string {
  const takes = schema.meta()?.takes;
  if (typeof takes === 'string') return takes;
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => `\`${option}\``).join(', ');
  const isWrapped = schema instanceof z.ZodDefault || schema instanceof z.ZodOptional;
  return isWrapped ? takesOf(schema.unwrap() as z.ZodType) : '';
}

type Variables = { readonly [K in keyof typeof variables]: z.output<(typeof variables)[K]> };

export interface Config extends Variables {
  /** True where no secret was given: one is made up for this run, on a loopback host only. */
  readonly isDemo: boolean;
  /** Who is asking is told by a key or a server that was given, not by a key that was made up. */
  readonly hasKey: boolean;
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

const keyNames = ['TURNOUT_JWT_SECRET', 'TURNOUT_JWT_PUBLIC_KEY', 'TURNOUT_JWKS_URL'] as const;
const loopback = new Set(['127.0.0.1', '::1', 'localhost']);

export const isLoopbackHost = (host: string): boolean => loopback.has(host) || host.startsWith('127.');

/** Variables by name, as a process or a test has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** This process's own, for the command line: it wants settings of its own and shares those of a node. */
export const environment = (): Environment => process.env;

/** @throws ConfigError with every problem. An empty value counts as absent. */
export function readConfig(env: Environment = environment()): Config {
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

  const keys = keyNames.filter((name) => (env[name] ?? '').trim() !== '');
  const host = values.TURNOUT_HOST ?? '127.0.0.1';
  if (keys.length > 1) problems.push(`${keys.join(', ')}: give one of them`);
  const isAsked = values.TURNOUT_AUTH_URL !== undefined;
  if (keys.length === 0 && !isAsked && !isLoopbackHost(host))
    problems.push(
      'TURNOUT_JWT_SECRET (or TURNOUT_JWT_PUBLIC_KEY, TURNOUT_JWKS_URL, TURNOUT_AUTH_URL) is needed off loopback',
    );
  for (const name of ['TURNOUT_CLAIM_ORG', 'TURNOUT_AUTH_ORG'] as const)
    if (values.TURNOUT_ORG !== undefined && values[name] !== undefined)
      problems.push(`TURNOUT_ORG, ${name}: give one of them`);
  if (problems.length > 0) throw new ConfigError(problems);
  const hasKey = keys.length > 0 || isAsked;
  const isUnconfigured = values.TURNOUT_REDIS_URL === undefined;
  return Object.freeze({ ...values, hasKey, isDemo: !hasKey && (values.TURNOUT_DEMO ?? isUnconfigured) });
}
