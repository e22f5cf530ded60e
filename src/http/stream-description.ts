/** What OpenAPI can say of the stream: how it is opened. Its frames are in schema/frames.ts and docs/PROTOCOL.md, 8. */
import { describeRoute, resolver } from 'hono-openapi';
import { errorBodySchema } from '../../schema/http.ts';

const parameter = (name: string, description: string) => ({
  name,
  in: 'query' as const,
  required: false,
  description,
  schema: { type: 'string' as const },
});

export const streamDescription = describeRoute({
  summary: 'The stream: upgrades to WebSocket',
  description:
    'A well-formed upgrade is accepted, and closed with a code where it is refused: a browser cannot read a status. The first frame is `{"services":["chat"],"version":1}`, with a `cursor` to resume.',
  tags: ['realtime'],
  security: [{ bearer: [] }, { accessToken: [] }, { ticket: [] }],
  parameters: [
    parameter('ticket', 'what negotiate gave; alone it opens the stream'),
    parameter('access_token', 'a token, where a browser cannot set headers'),
  ],
  responses: {
    101: { description: 'a WebSocket' },
    426: {
      description: 'upgrade_required: not an upgrade',
      content: { 'application/json': { schema: resolver(errorBodySchema) } },
    },
    429: {
      description: 'rate_limited: upgrades come in a flood',
      content: { 'application/json': { schema: resolver(errorBodySchema) } },
    },
  },
});
