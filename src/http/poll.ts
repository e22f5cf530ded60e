/** `GET /v1/realtime/poll` (docs/PROTOCOL.md, 7): reads the query, and writes the answer's shared bytes as they are. */
import { Hono } from 'hono';
import { describeRoute } from 'hono-openapi';
import { type PollQuery, pollBodySchema, pollQuerySchema, serviceListSchema } from '../../schema/http.ts';
import { fail } from '../errors.ts';
import { startOf } from '../transports/client-frames.ts';
import type { AppEnv, Authenticate } from './app.ts';
import type { LongPoll } from '../transports/long-poll.ts';
import { answerDirectly } from './direct-answer.ts';
import type { RequestLimits } from './limits.ts';
import { answer, parameter, refusals, tokenRefusals } from './described.ts';
import { pollClientOf } from '../transports/poll-request.ts';

const description = describeRoute({
  summary: 'Events after a cursor; held until one comes',
  description:
    'The cursor of an answer is the acknowledgement of the one before: an answer that was lost is asked for again.',
  tags: ['realtime'],
  security: [{ bearer: [] }],
  parameters: [
    parameter('query', 'services', 'comma-separated services, 1 to 100', true),
    parameter('query', 'cursor', 'where the last answer ended, or `earliest`'),
    parameter('query', 'lastSeq', 'a seq instead of a cursor; holds only while the epoch lasts'),
    parameter('query', 'epoch', 'the epoch that `lastSeq` is of'),
    parameter('query', 'wait', 'seconds to hold, 0 to 60 (25)'),
    parameter('query', 'limit', 'events at most, 1 to 1000 (500)'),
    parameter('query', 'session', "the client instance's own id"),
    parameter('query', 'assignment', 'the rules version that the client has followed (SDKs)'),
  ],
  responses: {
    200: answer('events, perhaps none, and the next cursor', pollBodySchema),
    ...refusals(
      ...tokenRefusals,
      'bad_request',
      'bad_cursor',
      'service_forbidden',
      'rate_limited',
      'log_unavailable',
    ),
  },
});

/** The route of a poll, to be mounted on the app of app.ts, whose context it reads. */
export function pollRoute(deps: {
  authenticate: Authenticate;
  longPoll: LongPoll;
  limits: Pick<RequestLimits, 'networkOf'>;
}): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/v1/realtime/poll', description, async (c) => {
    const identity = await deps.authenticate(c);
    const asked = parseQuery(c.req.queries());
    const incoming = c.env?.incoming;
    const polled = await deps.longPoll.answer({
      identity,
      services: parseServices(asked.services),
      start: startOf({ ...asked, lastSeq: parseLastSeq(asked.lastSeq) }),
      waitMs: asked.wait * 1000,
      limit: asked.limit,
      session: asked.session,
      assignment: asked.assignment,
      client: pollClientOf(c.env?.outgoing, incoming && deps.limits.networkOf(incoming)),
    });
    const close = polled.mustClose ? { connection: 'close' } : {};
    return answerDirectly(c, polled.body, { 'content-type': 'application/json', ...close });
  });
  return app;
}

/** @throws bad_request */
function parseQuery(given: Record<string, string[]>): PollQuery {
  const twice = Object.entries(given).find(([, values]) => values.length > 1);
  if (twice !== undefined) throw fail('bad_request', `${twice[0]}: give it once`);
  const raw = Object.fromEntries(Object.entries(given).map(([name, [value]]) => [name, value]));
  const parsed = pollQuerySchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw fail('bad_request', `${issue?.path.join('.') ?? 'query'}: ${issue?.message ?? 'malformed'}`);
}

/** @throws bad_request */
function parseServices(list: string | undefined): ReadonlySet<string> {
  const parsed = serviceListSchema.safeParse(list === undefined ? [] : list.split(','));
  if (!parsed.success)
    throw fail('bad_request', 'services: give 1 to 100 service names, separated by commas');
  return new Set(parsed.data);
}

/** Returns a number, or NaN, which startOf refuses as `bad_cursor`. */
function parseLastSeq(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}
