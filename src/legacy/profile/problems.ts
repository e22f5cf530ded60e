/** What is wrong with a profile, its shape or what it says, and what its author should know. Names no value. */
import { limits } from '../../../schema/codes.ts';
import { isOwnService } from '../../../schema/envelope.ts';
import { type Profile, profileSchema, type ProfileSource } from '../../../schema/profile.ts';
import { isItemRef } from '../dialect/item-reading.ts';
import { stepsOf } from '../dialect/json-path.ts';
import { unitMs } from '../dialect/request-reading.ts';
import { fault, type ProfileProblem, suggestion, warn } from './problem.ts';
import { shapeProblems } from './shape.ts';
import { envelopeFields, templateProblems } from './template-problems.ts';

/** @returns `profile` where the shape is right, whatever the problems */
export function checkProfile(value: unknown) {
  const { data: profile, error } = profileSchema.safeParse(value);
  if (profile === undefined)
    return { profile, problems: error.issues.flatMap((issue) => shapeProblems(issue, value)) };
  const problems = [
    ...requestProblems(profile),
    ...cursorProblems(profile),
    ...authProblems(profile),
    ...templateProblems(profile),
    ...(profile.source === undefined ? [] : sourceProblems(profile, profile.source)),
  ];
  return { profile, problems };
}

function requestProblems({ match, request }: Profile): ProfileProblem[] {
  const { wait, limit } = request;
  const found = (['cursor', 'wait', 'limit'] as const)
    .filter((name) => match.method === 'GET' && request[name]?.in === 'body')
    .map((name) =>
      fault(['request', name, 'in'], 'a GET has no body: query or header, or match.method POST'),
    );
  if (wait !== undefined && wait.default > wait.max)
    found.push(fault(['request', 'wait', 'default'], 'is more than max'));
  if (wait !== undefined && wait.max * unitMs(wait) > limits.pollWaitS * 1000)
    found.push(
      warn(
        ['request', 'wait', 'max'],
        `over ${limits.pollWaitS} s: proxies on the way and Turnout's own drain cut or answer such a request earlier`,
      ),
    );
  if (limit !== undefined && limit.default > limit.max)
    found.push(fault(['request', 'limit', 'default'], 'is more than max'));
  for (const [index, service] of request.services.fixed.entries())
    if (isOwnService(service))
      found.push(fault(['request', 'services', 'fixed', index], "turnout/… holds Turnout's own marks"));
  return found;
}

function cursorProblems({ request: { cursor } }: Profile): ProfileProblem[] {
  if (cursor.format === 'opaque') return [];
  const path = ['request', 'cursor', 'value'];
  const [root] = stepsOf(cursor.value);
  if (root === undefined || !envelopeFields.includes(String(root))) {
    const meant = suggestion(String(root ?? ''), envelopeFields);
    return [fault(path, `no field of an event: a cursor comes from $.id or a place in $.payload${meant}`)];
  }
  if (root === 'seq')
    return [
      warn(path, "Turnout's own numbers: the old backend doesn't know them, so nobody can go back to it"),
    ];
  if (root === 'timestamp')
    return [
      warn(path, "Turnout's time of append, not the old backend's: going back to it loses or repeats events"),
    ];
  return [];
}

function authProblems({ auth }: Profile): ProfileProblem[] {
  if (auth === undefined) return [];
  const found: ProfileProblem[] = [];
  if (auth.from !== 'bearer' && auth.name === undefined)
    found.push(
      fault(['auth', 'name'], `is missing: which ${auth.from === 'query' ? 'parameter' : auth.from} it is`),
    );
  if (auth.from === 'bearer' && auth.name !== undefined)
    found.push(fault(['auth', 'name'], 'a bearer token has no name: leave it out, or from: header'));
  if (auth.jwt === undefined && auth.resolve === undefined)
    found.push(
      fault(['auth'], 'needs jwt (a token that Turnout can verify) or resolve (the old backend is asked)'),
    );
  if (auth.jwt?.services === 'ignored')
    found.push(
      warn(
        ['auth', 'jwt', 'services'],
        'clients are served whatever the services claim of their token forbids; kept leaves those to the old backend',
      ),
    );
  return found;
}

function sourceProblems({ request }: Profile, source: ProfileSource): ProfileProblem[] {
  const found: ProfileProblem[] = [];
  const { id, type, payload, to } = source;
  const org = source.kind === 'long-poll' ? undefined : source.org;
  for (const [name, ref] of Object.entries({ id, type, payload, to, org })) {
    if (ref === undefined) continue;
    const path = ['source', name];
    if (!isItemRef(ref))
      found.push(
        fault(path, 'a field, a path such as $.data.id, $ the whole item, $id, or =word for the word itself'),
      );
    if (ref === '$id' && source.kind !== 'redis-stream')
      found.push(fault(path, '$id is the id of a Redis stream entry: name the field that holds it'));
  }
  if (id.startsWith('='))
    found.push(fault(['source', 'id'], 'one id for all: all items but the first would count as repeats'));
  const { fixed } = request.services;
  if (source.service !== undefined && !fixed.includes(source.service))
    found.push(
      fault(['source', 'service'], 'is not in request.services.fixed: no client of this profile reads it'),
    );
  return [...found, ...orgProblems(source), ...readerProblems(source)];
}

/** One reader sees all of its org in the source's order; two are two orders, and perhaps two views. */
function readerProblems(source: ProfileSource): ProfileProblem[] {
  if (source.kind !== 'long-poll') return [];
  const orgs = source.readers.map(({ org }) => org);
  const seen =
    source.to === undefined ? ', and without source.to all of the org are shown what either may see' : '';
  const message = `another reader of the same org: their events come in no common order, so that who is served may be given one late or twice${seen}`;
  const repeated = [...orgs.keys()].filter((index) => orgs.indexOf(orgs[index] ?? '') < index);
  return repeated.map((index) => warn(['source', 'readers', index], message));
}

/** An event without an org has nowhere to go. */
function orgProblems(source: ProfileSource): ProfileProblem[] {
  if (source.kind === 'long-poll' || source.org !== undefined) return [];
  const isStream = source.kind === 'redis-stream';
  if (isStream && source.orgs?.length === 1) return [];
  if ((isStream ? source.key : source.channel).includes('{org}')) return [];
  const message = 'says nothing of the org: put {org} into it, or name the field that holds it as source.org';
  return [fault(['source', isStream ? 'key' : 'channel'], message)];
}
