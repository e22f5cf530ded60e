/** Which requests belong to an old API: exact paths, or everything below one. Pure; a query is no part of a path. */
import type { Profile } from '../../../schema/profile.ts';
import { ConfigError } from '../../config/config.ts';

interface LegacyRoute {
  readonly profile: Profile;
  /** As the profile writes it, `/api/*`: the label of metrics. */
  readonly pattern: string;
  /** The profile's poll, which Turnout may come to answer itself. */
  readonly isPoll: boolean;
}

/** @param target the request's target as it came, query included; src/http/target.ts has refused dot segments */
export type FindRoute = (method: string, target: string) => LegacyRoute | undefined;

/**
 * The poll's path comes here with every method, so that one API isn't split; exact paths go before wildcards, a longer
 * wildcard before a shorter one.
 * @param isOwn paths that Turnout answers itself: no wildcard takes them
 * @throws ConfigError where two profiles want one path, or one wants Turnout's own
 */
export function legacyRoutes(profiles: readonly Profile[], isOwn: (path: string) => boolean): FindRoute {
  const polls = new Map<string, LegacyRoute>();
  const exact = new Map<string, LegacyRoute>();
  const below: (LegacyRoute & { readonly prefix: string })[] = [];
  const claim = (into: Map<string, LegacyRoute>, key: string, route: LegacyRoute): void => {
    if (route.pattern.endsWith('*')) return void below.push({ ...route, prefix: route.pattern.slice(0, -1) });
    if (isOwn(route.pattern))
      throw new ConfigError([`profile ${route.profile.name}: ${route.pattern} is a path of Turnout's own`]);
    const other = into.get(key)?.profile;
    if (other !== undefined && other !== route.profile)
      throw new ConfigError([`profiles ${other.name} and ${route.profile.name} both take ${route.pattern}`]);
    if (other === undefined) into.set(key, route);
  };
  for (const profile of profiles) {
    const { method, path } = profile.match;
    claim(polls, `${method} ${path}`, { profile, pattern: path, isPoll: true });
    for (const pattern of profile.passthrough) claim(exact, pattern, { profile, pattern, isPoll: false });
  }
  // What the profile lists itself goes before what its poll's path brings along.
  for (const { profile, pattern } of polls.values())
    if (!exact.has(pattern)) exact.set(pattern, { profile, pattern, isPoll: false });
  below.sort((a, b) => b.prefix.length - a.prefix.length);

  return (method, target) => {
    const end = target.indexOf('?');
    const path = end === -1 ? target : target.slice(0, end);
    const named = polls.get(`${method} ${path}`) ?? exact.get(path);
    if (named !== undefined) return named;
    const route = below.find(({ prefix }) => path.startsWith(prefix));
    if (route === undefined || isOwn(path)) return undefined;
    const isPoll = route.isPoll && method === route.profile.match.method;
    return isPoll === route.isPoll ? route : { ...route, isPoll };
  };
}
