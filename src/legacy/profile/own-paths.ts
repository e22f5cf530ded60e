/** Turnout's own paths, known before a node runs: `legacy check` refuses a profile that wants one, as a node does. Pure. */

const everywhere = String.raw`healthz|readyz|metrics`;
const below =
  everywhere +
  String.raw`|v1\/publish|v1\/realtime\/poll|v2\/realtime\/(?:stream|negotiate|publish|metrics)` +
  String.raw`|admin\/v1\/.+|openapi\.json|docs(?:\/[^/]*)?`;
const atRoot = new RegExp(`^/(?:${everywhere})$`);
const own = new RegExp(`^/(?:${below})$`);

/** @param path without a query. @param basePath what stands before all of them but those that balancers ask */
export const isOwnPath = (path: string, basePath: string): boolean =>
  atRoot.test(path) || (path.startsWith(`${basePath}/`) && own.test(path.slice(basePath.length)));
