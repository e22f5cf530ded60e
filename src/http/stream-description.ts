/** What OpenAPI can say of the stream: how it is opened. Its frames are in schema/frames.ts and docs/PROTOCOL.md, 8. */
import { describeRoute } from 'hono-openapi';
import { errorBodySchema } from '../../schema/http.ts';
import { jsonContent, parameter } from './described.ts';

export const streamDescription = describeRoute({
  summary: 'The stream: upgrades to WebSocket',
  description:
    'A well-formed upgrade is accepted, and closed with a code where it is refused: a browser cannot read a status. The first frame is `{"services":["chat"],"version":1}`, with a `cursor` to resume.',
  tags: ['realtime'],
  security: [{ bearer: [] }, { accessToken: [] }, { ticket: [] }],
  parameters: [
    parameter('query', 'ticket', 'what negotiate gave; alone it opens the stream'),
    parameter('query', 'access_token', 'a token, where a browser cannot set headers'),
  ],
  responses: {
    101: { description: 'a WebSocket' },
    426: {
      description: 'upgrade_required: not an upgrade',
      content: jsonContent(errorBodySchema),
    },
    429: {
      description: 'rate_limited: upgrades come in a flood',
      content: jsonContent(errorBodySchema),
    },
  },
});
