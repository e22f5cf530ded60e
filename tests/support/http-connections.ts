/** What a server needs to bound its connections, with bounds that no test meets unless it says so. */
import { BytesInFlight, type InFlightBounds } from '../../src/async/bytes-in-flight.ts';
import { HttpConnections } from '../../src/http/connections.ts';

const mebi = 1024 * 1024;

export function openConnections(
  bounds: Partial<InFlightBounds> & { stallMs?: number; address?: number } = {},
) {
  const inFlight = new BytesInFlight({ node: 64 * mebi, address: 64 * mebi, user: 64 * mebi, ...bounds });
  const connections = new HttpConnections({
    inFlight,
    stallMs: bounds.stallMs ?? 15_000,
    addressOf: () => undefined,
  });
  return { inFlight, connections };
}
