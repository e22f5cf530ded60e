/** How the calls of the admin API stand in the OpenAPI document, which is their reference (docs/PROTOCOL.md, 12). */
import { type DescribeRouteOptions, describeRoute } from 'hono-openapi';
import type { z } from 'zod';
import { changeAnswerSchema } from '../../schema/admin.ts';
import type { Code } from '../../schema/codes.ts';
import { bodyRefusals, jsonContent, parameter, refusals, tokenRefusals } from './described.ts';

const seenVersion = parameter('header', 'If-Match', 'the version that the caller saw, as `"19"`');
/** Query parameters. */
export const ofUser = [
  parameter('query', 'org', 'of this org only'),
  parameter('query', 'user', 'of this user only'),
];

/** Of a page of the audit trail. */
export const ofPage = [
  parameter('query', 'before', 'entries that are older than the one with this id: `next` of the page before'),
  parameter('query', 'limit', 'how many at most, 1 to 1000; absent: 1000'),
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
      200: { description: 'done', content: jsonContent(answer) },
      ...refusals(...tokenRefusals, 'role_required', ...codes),
    },
  });

export const reads = (summary: string, answer: z.ZodType, ...codes: readonly Code[]) =>
  describe(summary, answer, ['log_unavailable', ...codes]);
/** The body that a call takes. */
export const taking = (body: z.ZodType) => ({ requestBody: { required: true, content: jsonContent(body) } });
/** A change of the rules that heeds `If-Match`. */
export const writes = (summary: string, body: z.ZodType, ...codes: readonly Code[]) =>
  describe(summary, changeAnswerSchema, [...bodyRefusals, 'version_conflict', 'log_unavailable', ...codes], {
    ...taking(body),
    parameters: [seenVersion],
  });
