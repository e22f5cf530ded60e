/** How the calls of the admin API stand in the OpenAPI document, which is their reference (docs/PROTOCOL.md, 12). */
import { type DescribeRouteOptions, describeRoute, resolver } from 'hono-openapi';
import type { z } from 'zod';
import { changeAnswerSchema } from '../../schema/admin.ts';
import type { Code } from '../../schema/codes.ts';
import { bodyRefusals, refusals, tokenRefusals } from './described.ts';

const content = (schema: z.ZodType) => ({ 'application/json': { schema: resolver(schema) } });

const given = (where: 'query' | 'header', name: string, description: string) => ({
  name,
  in: where,
  required: false,
  description,
  schema: { type: 'string' as const },
});
const seenVersion = given('header', 'If-Match', 'the version that the caller saw, as `"19"`');
/** Query parameters. */
export const ofUser = [
  given('query', 'org', 'of this org only'),
  given('query', 'user', 'of this user only'),
];

export const describe = (
  summary: string,
  answer: z.ZodType,
  codes: readonly Code[],
  asked: Pick<DescribeRouteOptions, 'parameters' | 'requestBody'> = {},
) =>
  describeRoute({
    summary,
    tags: ['admin'],
    security: [{ bearer: [] }],
    ...asked,
    responses: {
      200: { description: 'done', content: content(answer) },
      ...refusals(...tokenRefusals, 'role_required', ...codes),
    },
  });

export const reads = (summary: string, answer: z.ZodType, ...codes: readonly Code[]) =>
  describe(summary, answer, ['log_unavailable', ...codes]);
/** The body that a call takes. */
export const taking = (body: z.ZodType) => ({ requestBody: { required: true, content: content(body) } });
/** A change of the rules that heeds `If-Match`. */
export const writes = (summary: string, body: z.ZodType, ...codes: readonly Code[]) =>
  describe(summary, changeAnswerSchema, [...bodyRefusals, 'version_conflict', 'log_unavailable', ...codes], {
    ...taking(body),
    parameters: [seenVersion],
  });
