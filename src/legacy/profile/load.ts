/**
 * Profiles from files and folders, all of them checked before a node starts: every problem with its file, line, path and
 * cure, none with a value. Reads files; asks nothing else.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Profile } from '../../../schema/profile.ts';
import { ConfigError, type Environment } from '../../config/config.ts';
import { isLoopbackHost } from '../../config/loopback.ts';
import { codeIn } from '../../errors.ts';
import { fault, type ProfilePath, type ProfileProblem } from './problem.ts';
import { checkProfile } from './problems.ts';
import { parseProfileText } from './text.ts';

/** Where this node itself listens: an upstream that is it would ask itself for ever. */
type OwnAddress = Readonly<{ host: string; port: number }>;

interface Loaded {
  readonly profile: Profile;
  /** `acme.yaml:12 request.cursor.format: …` */
  readonly say: (problem: ProfileProblem) => string;
}

const fileKinds = /\.(ya?ml|json)$/;
const maxBytes = 1024 * 1024;
const maxProfiles = 100;

/** @param places files, or folders whose `.yaml`, `.yml` and `.json` are taken. @throws ConfigError with every problem */
export function loadProfiles(
  places: readonly string[],
  env: Environment,
  own: OwnAddress | undefined,
): { readonly profiles: readonly Profile[]; readonly warnings: readonly string[] } {
  const [faults, warnings, loaded]: [string[], string[], Loaded[]] = [[], [], []];
  for (const file of filesOf(places, faults)) {
    const { profile, problems, say } = readProfile(file, env);
    for (const problem of problems) (problem.level === 'error' ? faults : warnings).push(say(problem));
    if (profile !== undefined) loaded.push({ profile, say });
  }
  if (loaded.length > maxProfiles) faults.push(`TURNOUT_PROFILES: more than ${maxProfiles} profiles`);
  faults.push(...repeatedProblems(loaded));
  if (own !== undefined) faults.push(...loaded.flatMap((one) => ownProblems(one, own)));
  if (faults.length > 0) throw new ConfigError(faults);
  return { profiles: loaded.map(({ profile }) => profile), warnings };
}

/**
 * Reads one file. `${NAME}` in its source is taken from the environment, and so is where Turnout's own paths begin.
 * @returns `profile` where nothing but warnings were found
 */
export function readProfile(file: string, env: Environment) {
  const unread = (problems: readonly ProfileProblem[]) => ({
    profile: undefined,
    problems,
    // Its path is the line, where it is known.
    say: ({ path, message }: ProfileProblem): string => `${[basename(file), ...path].join(':')}: ${message}`,
  });
  let text: string;
  try {
    if (statSync(file).size > maxBytes) return unread([fault([], 'a profile has at most 1 MiB')]);
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    return unread([fault([], `can't be read: ${codeIn(thrown) ?? 'unknown'}`)]);
  }
  const parsed = parseProfileText(text);
  if (!('value' in parsed)) return unread(parsed);
  const say: Loaded['say'] = ({ path, message }) =>
    `${basename(file)}:${parsed.lineOf(path)} ${path.length === 0 ? '' : `${spelled(path)}: `}${message}`;
  const filled = withEnvironment(parsed.value, env);
  const { profile, problems: found } = checkProfile(filled.value);
  const taken = profile === undefined ? [] : takenProblems(profile, env['TURNOUT_BASE_PATH'] ?? '');
  const problems = [...filled.problems, ...found, ...taken];
  const isFaulty = problems.some(({ level }) => level === 'error');
  return { profile: isFaulty ? undefined : profile, problems, say };
}

/** `request.cursor`, `source.readers[0].org`. */
const spelled = (path: ProfilePath): string =>
  path.map((step, at) => (typeof step === 'number' ? `[${step}]` : `${at > 0 ? '.' : ''}${step}`)).join('');

function filesOf(places: readonly string[], faults: string[]): string[] {
  return places.flatMap((place) => {
    try {
      if (!statSync(place).isDirectory()) return [place];
      const found = readdirSync(place)
        .filter((name) => fileKinds.test(name))
        .toSorted();
      if (found.length === 0) faults.push(`TURNOUT_PROFILES: ${place} holds no .yaml, .yml or .json`);
      return found.map((name) => join(place, name));
    } catch (thrown) {
      faults.push(`TURNOUT_PROFILES: ${place} can't be read: ${codeIn(thrown) ?? 'unknown'}`);
      return [];
    }
  });
}

/** Secrets of a source stay out of its file: `url: ${OLD_REDIS_URL}`. */
function withEnvironment(
  value: unknown,
  env: Environment,
): { readonly value: unknown; readonly problems: readonly ProfileProblem[] } {
  const problems: ProfileProblem[] = [];
  const fill = (at: unknown, path: ProfilePath): unknown => {
    if (typeof at === 'string')
      return at.replaceAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
        const found = env[name];
        if (found === undefined || found === '')
          problems.push(fault(path, `the variable ${name} is not set`));
        return found ?? '';
      });
    if (Array.isArray(at)) return at.map((item, index) => fill(item, [...path, index]));
    if (typeof at !== 'object' || at === null) return at;
    return Object.fromEntries(Object.entries(at).map(([name, item]) => [name, fill(item, [...path, name])]));
  };
  if (typeof value !== 'object' || value === null || !('source' in value)) return { value, problems };
  return { value: { ...value, source: fill(value.source, ['source']) }, problems };
}

type Claim = ReturnType<typeof claimsOf>[number];

/** The paths that a profile takes, each where it says so; the method `*`: all of them. */
const claimsOf = ({ name: profile, match, passthrough }: Profile) => [
  { profile, at: ['match', 'path'], pattern: match.path, method: match.method },
  ...passthrough.map((pattern, index) => ({ profile, at: ['passthrough', index], pattern, method: '*' })),
];

/** A profile may name its own poll's path again; two profiles share an exact path where each polls it by a method of its own. */
function clash(one: Claim, other: Claim): boolean {
  if (one.pattern !== other.pattern) return false;
  if (one.method === other.method) return true;
  if (one.profile === other.profile) return false;
  return one.method === '*' || other.method === '*' || one.pattern.endsWith('*');
}

// Turnout's own paths, known before a node runs: `legacy check` refuses a profile that wants one, as a node does.
const everywhere = /^\/(?:healthz|readyz|metrics)$/;
const below =
  /^\/(?:v1\/publish|v1\/realtime\/poll|v2\/realtime\/(?:stream|negotiate|publish|metrics)|admin\/v1\/.+|openapi\.json|docs(?:\/[^/]*)?)$/;

/** @param path without a query. @param basePath what stands before all of them but those that balancers ask */
export function isOwnPath(path: string, basePath: string): boolean {
  const rest = path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : '';
  return [path, rest].some((one) => everywhere.test(one)) || below.test(rest);
}

function takenProblems(profile: Profile, basePath: string): ProfileProblem[] {
  const message = "is a path of Turnout's own: leave it out, or move Turnout's by TURNOUT_BASE_PATH";
  return claimsOf(profile)
    .filter(({ pattern }) => isOwnPath(pattern, basePath))
    .map(({ at, pattern }) => fault(at, `${pattern} ${message}`));
}

function repeatedProblems(loaded: readonly Loaded[]): string[] {
  const names = new Set<string>();
  const claims: Claim[] = [];
  return loaded.flatMap(({ profile, say }) => {
    const found: string[] = [];
    if (names.has(profile.name))
      found.push(say(fault(['name'], `another profile is called ${profile.name} too`)));
    names.add(profile.name);
    for (const claim of claimsOf(profile)) {
      const other = claims.find((one) => clash(one, claim));
      const route = claim.method === '*' ? claim.pattern : `${claim.method} ${claim.pattern}`;
      if (other !== undefined) found.push(say(fault(claim.at, `${route} is ${other.profile}'s already`)));
      claims.push(claim);
    }
    return found;
  });
}

function ownProblems({ profile, say }: Loaded, own: OwnAddress): string[] {
  const { hostname, port, protocol } = new URL(profile.upstream);
  const upstreamPort = Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port);
  const host = hostname.replaceAll(/[[\]]/g, '');
  const isAny = own.host === '0.0.0.0' || own.host === '::';
  const isHere = host === own.host || (isLoopbackHost(host) && (isAny || isLoopbackHost(own.host)));
  if (own.port === 0 || upstreamPort !== own.port || !isHere) return [];
  const message = 'is where this node itself listens: name the old backend';
  return [say(fault(['upstream'], message))];
}
