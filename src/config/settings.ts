/** Every setting of a node, in the order in which docs/CONFIGURATION.md lists them. */
import { z } from 'zod';
import { limits } from '../../schema/codes.ts';
import {
  flag,
  int,
  isAddressOrRange,
  isOrigin,
  list,
  path,
  percent,
  redisUrl,
  share,
  text,
} from './setting-forms.ts';
import { identitySettings } from './identity-settings.ts';

export const variables = {
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
    .describe(
      "Name of this node in acknowledgements and logs, no other node's: two that share one say so in their logs and in `/readyz`. Absent: made up at start.",
    ),
  TURNOUT_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('From which level on lines are logged.'),
  ...identitySettings,
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
      'Where the log lives that all nodes share: `redis://user:password@host:6379/0`, `redis+cluster://host:7000,host:7001`, `redis+sentinel://host:26379,host:26380/mymaster`, each with `rediss` for TLS (docs/guides/redis.md). Absent: the embedded log, in memory, for a single node.',
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
    .describe('Bytes of JSON and recipients that the log keeps of an org, in memory or in Redis.'),
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
  TURNOUT_DRAIN_MS: int(0, limits.drainMs)
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
  TURNOUT_KILL_FILE: path
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
      'Connections to each old backend, one for each request that it holds; past them a request waits 2 s, then is answered 503. One address has no more of them than are left free, loopback apart.',
    ),
  TURNOUT_LEGACY_BODY_MS: int(100, 300_000)
    .default(30_000)
    .describe(
      "How long a client may take for each 16 KiB of a request's body to an old backend; past it the request is answered 408. The first 16 KiB are waited for before the request gets a connection.",
    ),
  TURNOUT_LEGACY_SEARCH_READS_PER_S: int(1)
    .default(300)
    .describe(
      "Pages of the log that a node may read a second to find legacy clients' cursors; an org gets a third of it, a user a fifteenth, ten seconds' worth at once. Past it a poll is left to the old backend (`search-limit` in `legacy_unserved_total`).",
    ),
  TURNOUT_BRIDGE: flag
    .default(true)
    .describe(
      "Whether this node may bridge: read the profiles' sources into the log. One node at a time does, the others stand by.",
    ),
  TURNOUT_ALLOW_OVERRIDE: flag
    .default(false)
    .describe('Whether a client may choose its transport by `override` in negotiate.'),
  TURNOUT_RULES_MAX_AGE_MS: int(0)
    .default(0)
    .describe('How long the shared rules may stay unread before they count as lost; 0: forever.'),
  TURNOUT_RULES_STALE: z
    .enum(['hold', 'long-poll'])
    .default('hold')
    .describe('What lost rules mean: `hold` goes on by the last ones, `long-poll` takes everybody there.'),
  TURNOUT_RUN_DIR: path
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
    .describe('Streams from one address; one more is answered 429. Not counted for loopback.'),
  TURNOUT_MAX_HELD_POLLS: int(1)
    .default(100_000)
    .describe(
      'Polls held at a time; one more is answered 503. One address has no more of them than are left free, loopback apart.',
    ),
  TURNOUT_MAX_HELD_POLLS_PER_USER: int(1)
    .optional()
    .describe(
      'Held polls of a user; one more answers the oldest, or is answered 429 where that came less than 5 s ago. Absent: 256, and 5000 on a loopback host.',
    ),
  TURNOUT_MAX_REQUESTS_PER_ADDRESS_PER_S: int(1)
    .default(2000)
    .describe(
      'Requests a second from one address, those of old APIs among them; not counted for loopback. Behind a proxy on another host `TURNOUT_TRUSTED_PROXIES` must name it, or all its clients are one address.',
    ),
  TURNOUT_MAX_BYTES_IN_FLIGHT: int(1024 * 1024)
    .default(32 * 1024 * 1024)
    .describe(
      'Bytes that all clients together may make this node hold: unread answers, requests sent ahead, frames that wait. Past it the connection that has held bytes for longest is cut (`turnout_connections_cut_total`).',
    ),
  TURNOUT_MAX_BYTES_IN_FLIGHT_PER_ADDRESS: int(1024 * 1024)
    .default(16 * 1024 * 1024)
    .describe('The same for the clients of one address; not counted for loopback.'),
  TURNOUT_MAX_BYTES_IN_FLIGHT_PER_USER: int(1024 * 1024)
    .default(8 * 1024 * 1024)
    .describe('The same for one user.'),
  TURNOUT_STALLED_ANSWER_MS: int(1000, 600_000)
    .default(15_000)
    .describe('How long an answer may wait without a byte of it being read before its connection is cut.'),
  TURNOUT_MAX_PUBLISHES_PER_USER_PER_S: int(1)
    .default(100)
    .describe(
      'Events a second that an end user may publish on this node, by streams and requests together; ten times as many at once after a pause. One more is answered `rate_limited`. Not counted for producers.',
    ),
  TURNOUT_MAX_PUBLISH_BYTES_PER_USER_PER_S: int(1024)
    .default(1024 * 1024)
    .describe('The same in bytes of JSON.'),
  TURNOUT_MAX_CHANGES_PER_AUTHOR_PER_MIN: int(1)
    .default(120)
    .describe(
      'Changes a minute that one author may make by the admin API of this node; one more is answered 429. A kill is never refused.',
    ),
  TURNOUT_COMPRESS_MIN_BYTES: int(1)
    .default(1024)
    .describe('From this size on an event frame is compressed, for clients that offered it.'),
  UNLEASH_URL: text
    .optional()
    .describe(
      'An Unleash server to take the flags from. Not read by this version: a node that is given one warns of it, and goes by the rules of its own admin API.',
    ),
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

/** Former names by the current one. They are still read, with a warning; where both are given, the current name's value holds. */
export const formerNames: Readonly<Record<string, string>> = {
  TURNOUT_RULES_MAX_AGE_MS: 'TURNOUT_RULES_MAX_AGE',
  TURNOUT_MAX_REQUESTS_PER_ADDRESS_PER_S: 'TURNOUT_MAX_REQUESTS_PER_ADDRESS_S',
};
