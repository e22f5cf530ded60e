/** The routes that publish (docs/PROTOCOL.md, 11): for backends, and for end users within their `publish` claim. */
import { type Context, Hono } from 'hono';
import { describeRoute } from 'hono-openapi';
import { z } from 'zod';
import { type Code, limits } from '../../schema/codes.ts';
import { publishBatchSchema, publishItemSchema, publishResultSchema } from '../../schema/http.ts';
import { fail } from '../errors.ts';
import { firstInexactNumber, inexactMessage } from '../log/exact-numbers.ts';
import type { Publisher, PublisherRole } from '../publish/publisher.ts';
import type { Authenticate } from './app.ts';
import { answer, bodyRefusals, jsonContent, refusals, tokenRefusals } from './described.ts';
import { holdTo, readJson } from './json-body.ts';

/**
 * What a body may have. Events are weighed as UTF-8 without white space; one that escapes all but ASCII, as many libraries
 * write it, is three times as long.
 */
const bodyBytes: Readonly<Record<PublisherRole, number>> = {
  producer: 3 * limits.batchBytes,
  user: 3 * limits.eventBytes,
};

const describe = (summary: string, ...roleRefusals: readonly Code[]) =>
  describeRoute({
    summary,
    description:
      'One event, or `{"events":[…]}`: at most 500, 64 KiB each, 1 MiB together, all for one org. Stored all or none. The same `id` again is answered with the first seq. A body has at most 3 MiB, an end user’s 192 KiB; nested at most 128 deep.',
    tags: ['publish'],
    security: [{ bearer: [] }],
    requestBody: {
      required: true,
      content: jsonContent(z.union([publishItemSchema, publishBatchSchema])),
    },
    responses: {
      200: answer('kept, in the order of the events; ephemeral ones have no seq', publishResultSchema),
      ...refusals(
        ...tokenRefusals,
        ...bodyRefusals,
        'reserved_field',
        'mixed_batch',
        'service_reserved',
        'log_unavailable',
        ...roleRefusals,
      ),
    },
  });

export function publishRoutes(deps: { authenticate: Authenticate; publisher: Publisher }): Hono {
  const publish = (role: PublisherRole) => async (c: Context) => {
    const identity = await deps.authenticate(c);
    const body = async (): Promise<unknown> => {
      await holdTo(c, bodyBytes[role]);
      const parsed = await readJson(c, z.unknown());
      const inexact = firstInexactNumber(await c.req.text());
      if (inexact !== undefined) throw fail('bad_request', inexactMessage(inexact));
      return parsed;
    };
    return c.json(await deps.publisher.publishBody(identity, role, body));
  };
  return new Hono()
    .post(
      '/v1/publish',
      describe('Publish as a backend', 'role_required', 'org_forbidden'),
      publish('producer'),
    )
    .post(
      '/v2/realtime/publish',
      describe('Publish as an end user', 'service_forbidden', 'org_forbidden', 'origin_forbidden'),
      publish('user'),
    );
}
