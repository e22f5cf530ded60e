/** Request smuggling: a request ends where the upstream reads its end too, or it is refused. Nothing hides in a body. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openGatewayHere } from '../support/gateway-here.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { openTellingUpstream, smuggle, smuggledForms } from '../support/smuggling.ts';

let upstream: Awaited<ReturnType<typeof openTellingUpstream>>;
let node: Awaited<ReturnType<typeof openGatewayHere>>;

beforeAll(async () => {
  upstream = await openTellingUpstream();
  node = await openGatewayHere([plainProfile(upstream.url)]);
});
afterAll(async () => {
  await node.close();
  upstream.close();
});

it.each(smuggledForms)('a request is not two: %s', async (_, bytes) => {
  const said = await smuggle(node.url, bytes);
  expect(said).not.toContain('/api/smuggled');
  expect(upstream.asked).not.toContain('/api/smuggled');
});
