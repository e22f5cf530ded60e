/**
 * The settings of a node, from the environment. Sole reader of process.env. All errors are collected and reported
 * together, by the name of the variable and never with its value, which may be a secret.
 */
import { hostname } from 'node:os';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { isLoopbackHost } from './loopback.ts';
import { formerNames, variables } from './settings.ts';

/** Every variable as docs/CONFIGURATION.md lists it, in the order to list them. */
export const settings = Object.entries(variables).map(([name, schema]) => ({
  name,
  description: schema.description ?? '',
  /** What a value may be. */
  takes: takesOf(schema),
  /** The default; undefined: there is none. */
  fallback: schema.parse(undefined),
}));

function takesOf(schema: z.ZodType): string {
  const takes = schema.meta()?.takes;
  if (typeof takes === 'string') return takes;
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => `\`${option}\``).join(', ');
  const isWrapped = schema instanceof z.ZodDefault || schema instanceof z.ZodOptional;
  // zod types the inner schema as a core type; ours are all classic ones.
  return isWrapped ? takesOf(schema.unwrap() as z.ZodType) : '';
}

type Variables = { readonly [K in keyof typeof variables]: z.output<(typeof variables)[K]> };

export interface Config extends Variables {
  /** True where no key is given and the demo runs: a secret is made up for this run, on a loopback host only. */
  readonly isDemo: boolean;
  /** Variables whose secret is short enough to be guessed: allowed on loopback alone, with a warning. */
  readonly shortSecrets: readonly string[];
  /** True where a key or an auth server is configured; otherwise a made-up key verifies tokens. */
  readonly hasKey: boolean;
  /** Lines to log at start, about settings that are ignored, renamed or unsafe. None holds a value. */
  readonly warnings: readonly string[];
}

/** The problems of the environment: one line for each variable, none with its value. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigError';
  }
}

const keyNames = ['TURNOUT_JWT_SECRET', 'TURNOUT_JWT_PUBLIC_KEY', 'TURNOUT_JWKS_URL'] as const;
/** Settings whose values are secrets that Turnout signs with or compares. */
export const secretNames = ['TURNOUT_JWT_SECRET', 'TURNOUT_TICKET_SECRET', 'TURNOUT_ADMIN_TOKEN'] as const;
const minSecretChars = 16;

/** Variables by name, as a process or a test has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Returns this process's environment, for the command line, which has settings of its own besides a node's. */
export const environment = (): Environment => process.env;

/** Reads and checks the settings. An empty value counts as absent. @throws ConfigError with every problem */
export function readConfig(env: Environment = environment()): Config {
  const problems: string[] = [];
  const read: Record<string, unknown> = {};
  const isGiven = (name: string): boolean => (env[name] ?? '').trim() !== '';
  const renamed = Object.entries(formerNames).filter(([, former]) => isGiven(former));
  for (const [name, schema] of Object.entries(variables)) {
    const given = [name, formerNames[name] ?? name].find(isGiven) ?? name;
    // Typed as any schema: the union of all of them has no common `safeParse`.
    const parsed = (schema as z.ZodType).safeParse(isGiven(given) ? env[given] : undefined);
    if (parsed.success) read[name] = parsed.data;
    else problems.push(`${given} ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  // Each name of `variables` was parsed by its own schema above, or its problem is about to be thrown.
  const values = read as unknown as Variables;

  const keys = keyNames.filter(isGiven);
  const host = values.TURNOUT_HOST ?? '127.0.0.1';
  const shortSecrets = secretNames.filter(
    (name) => (values[name]?.length ?? minSecretChars) < minSecretChars,
  );
  if (!isLoopbackHost(host))
    for (const name of shortSecrets)
      problems.push(`${name} must have ${minSecretChars} characters or more off loopback`);
  if (keys.length > 1) problems.push(`${keys.join(', ')}: give one of them`);
  const isAsked = values.TURNOUT_AUTH_URL !== undefined;
  if (keys.length === 0 && !isAsked && !isLoopbackHost(host))
    problems.push(
      'TURNOUT_JWT_SECRET (or TURNOUT_JWT_PUBLIC_KEY, TURNOUT_JWKS_URL, TURNOUT_AUTH_URL) is needed off loopback',
    );
  for (const name of ['TURNOUT_CLAIM_ORG', 'TURNOUT_AUTH_ORG'] as const)
    if (values.TURNOUT_ORG !== undefined && values[name] !== undefined)
      problems.push(`TURNOUT_ORG, ${name}: give one of them`);
  if (problems.length > 0) throw new ConfigError(problems);
  const hasKey = keys.length > 0 || isAsked;
  const isUnconfigured = values.TURNOUT_REDIS_URL === undefined;
  const isDemo = !hasKey && (values.TURNOUT_DEMO ?? isUnconfigured);
  const warnings = [
    ...(values.TURNOUT_DEMO === true && !isDemo
      ? ['TURNOUT_DEMO is off: it lets anybody be anybody, and a key is configured']
      : []),
    ...(values.UNLEASH_URL === undefined
      ? []
      : ['UNLEASH_URL is not read by this version: the rules of the admin API decide']),
    ...shortSecrets.map(
      (name) => `${name} is short enough to be guessed: off loopback a node does not start with it`,
    ),
    ...renamed.map(([name, former]) =>
      isGiven(name)
        ? `${former} is ignored: ${name}, its new name, is given too`
        : `${former} is now called ${name}: the old name will go`,
    ),
  ];
  return Object.freeze({ ...values, hasKey, isDemo, shortSecrets, warnings });
}

// A node's id has at most 64 characters, process id and random bits included. Names of pods differ at their end.
const hostChars = 50;

/**
 * Returns the name of a node that was given none: it says where the node runs, and no other node has it. Containers that
 * share a host's network have one host name and, each, process id 1: chance tells them apart.
 */
export function madeUpNodeId(clock: Pick<Clock, 'tag'>): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(-hostChars);
  return `${host}-${process.pid}-${clock.tag(24)}`;
}
