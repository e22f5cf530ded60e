/** The parts of a route's description in the OpenAPI document: JSON bodies, parameters, refusals by the table of codes. */
import { resolver } from 'hono-openapi';
import type { z } from 'zod';
import { type Code, codes } from '../../schema/codes.ts';
import { errorBodySchema } from '../../schema/http.ts';

/** The `content` of a body, asked or answered. */
export const jsonContent = (schema: z.ZodType) => ({ 'application/json': { schema: resolver(schema) } });

/** An answer of one status. */
export const answer = (description: string, schema: z.ZodType) => ({
  description,
  content: jsonContent(schema),
});

/** A parameter of a request, as text. */
export const parameter = (
  where: 'query' | 'header',
  name: string,
  description: string,
  isRequired = false,
) => ({
  name,
  in: where,
  required: isRequired,
  description,
  schema: { type: 'string' as const },
});

/** Refusals of every route: the rate limit comes before authentication. */
const anywhere = ['rate_limited', 'internal'] as const;
/** Refusals of a route that authenticates: keys and auth server may be out of reach. */
export const tokenRefusals = ['unauthorized', 'overloaded'] as const;
/** Refusals of a route that reads a body. */
export const bodyRefusals = ['bad_request', 'too_large', 'unsupported_media_type'] as const;

/** Returns an answer for each status of these codes; its description names the codes. */
export function refusals(...given: readonly Code[]): Record<string, ReturnType<typeof answer>> {
  const byStatus = new Map<number, Set<Code>>();
  for (const code of [...given, ...anywhere]) {
    const { status } = codes[code];
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [status, answer([...names].join(', '), errorBodySchema)]),
  );
}
