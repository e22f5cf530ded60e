/** `POST /v2/realtime/negotiate` (docs/PROTOCOL.md, 6): tells a client its transport, and gives it the ticket to a stream. */
import { Hono } from 'hono';
import { describeRoute } from 'hono-openapi';
import {
  type NegotiateRequest,
  negotiateRequestSchema,
  type NegotiateResponse,
  negotiateResponseSchema,
} from '../../schema/http.ts';
import { asTurnoutError } from '../errors.ts';
import type { Authenticator } from '../auth/identity.ts';
import { encodeCursor } from '../log/cursor.ts';
import { type EventLog, placeOnly } from '../log/event-log.ts';
import type { Decider, Decision } from '../rollout/decide/decide.ts';
import type { RulesStore } from '../rollout/rules/store.ts';
import type { Authenticate } from './app.ts';
import { answer, bodyRefusals, jsonContent, refusals, tokenRefusals } from './described.ts';
import { holdTo, readJson } from './json-body.ts';

export interface NegotiateDeps {
  readonly authenticate: Authenticate;
  readonly authenticator: Pick<Authenticator, 'issueTicket'>;
  readonly decider: Decider;
  readonly store: Pick<RulesStore, 'refresh'>;
  readonly log: Pick<EventLog, 'read'>;
  /** Stands before every URL that is handed out. */
  readonly basePath: string;
  readonly pingMs: number;
  /** Counts what was decided, and what the client says of itself, which decides nothing. */
  readonly onNegotiated?: (
    decision: Decision,
    told: Pick<NegotiateRequest, 'current' | 'session' | 'blocked' | 'sdk'>,
  ) => void;
}

const bodyBytes = 16 * 1024;
/** How an SDK behaves (requirements 4); only autoreconnect differs by user. */
const clientDefaults = {
  backoffMs: [1000, 2000, 4000, 8000, 16_000],
  jitter: 0.2,
  maxAttempts: 10,
  reconnectWithinMs: 2000,
};

const description = describeRoute({
  summary: 'Which transport this user gets, and a ticket for the stream',
  tags: ['realtime'],
  security: [{ bearer: [] }],
  requestBody: { content: jsonContent(negotiateRequestSchema) },
  responses: {
    200: answer('the decision; `cursor` only for a client that sent none', negotiateResponseSchema),
    ...refusals(...tokenRefusals, ...bodyRefusals, 'origin_forbidden'),
  },
});

export function negotiateRoute(deps: NegotiateDeps): Hono {
  const { decider } = deps;
  return new Hono().post('/v2/realtime/negotiate', description, async (c) => {
    const identity = await deps.authenticate(c);
    await holdTo(c, bodyBytes);
    const body = await readJson(c, negotiateRequestSchema);
    // Unsigned: a newer assignment makes the node look again, and decides nothing.
    if (body.assignment !== undefined && body.assignment > decider.assignment)
      await deps.store.refresh(body.assignment);
    const { supports, override } = body;
    const decision = decider.decide(identity, { supports, override });
    const ticket = await deps.authenticator.issueTicket({
      identity,
      session: body.session,
      supports,
      assignment: decision.assignment,
      override,
    });
    const cursor = body.cursor === undefined ? await headCursor(deps.log, identity.org) : undefined;
    deps.onNegotiated?.(decision, body);
    return c.json({
      transport: decision.transport,
      cohort: decision.cohort,
      reason: decision.reason,
      assignment: decision.assignment,
      urls: {
        websocket: `${deps.basePath}/v2/realtime/stream?ticket=${encodeURIComponent(ticket)}`,
        'long-poll': `${deps.basePath}/v1/realtime/poll`,
      },
      ...(cursor !== undefined && { cursor }),
      client: { autoreconnect: decider.autoreconnect(identity), ...clientDefaults, pingMs: deps.pingMs },
    } satisfies NegotiateResponse);
  });
}

/** From now on; undefined while the log is away: the decision is worth having without it. */
async function headCursor(log: Pick<EventLog, 'read'>, org: string): Promise<string | undefined> {
  try {
    const { head } = await log.read(org, { at: 'head' }, placeOnly);
    return encodeCursor(head);
  } catch (error) {
    if (asTurnoutError(error).code === 'log_unavailable') return undefined;
    throw error;
  }
}
