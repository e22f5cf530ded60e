/** What is wrong with a profile's shape: zod's findings in words that say the cure, and no value of the profile. */
import { z } from 'zod';
import { profileSchema } from '../../../schema/profile.ts';
import { compileSteps } from '../dialect/json-path.ts';
import { fault, type ProfilePath, type ProfileProblem, suggestion } from './problem.ts';

type Issue = z.core.$ZodIssue;

/** @param value of which zod said the issue */
export function shapeProblems(issue: Issue, value: unknown): ProfileProblem[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const given = compileSteps(path)(value);
  if (issue.code === 'unrecognized_keys') {
    const known = knownNames(path);
    return issue.keys.map((key) =>
      fault(
        [...path, key],
        `there is no such field${suggestion(key, known) || listed('; there are ', known)}`,
      ),
    );
  }
  return [fault(path, cure(issue, given))];
}

const listed = (before: string, words: readonly string[]): string =>
  words.length === 0 ? '' : before + words.join(', ');

function cure(issue: Issue, given: unknown): string {
  const missing = given === undefined ? 'is missing: ' : '';
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others say in their own words what may stand there
  switch (issue.code) {
    case 'invalid_type':
      return given === undefined
        ? `is missing: ${article(issue.expected)} is needed`
        : `${article(issue.expected)} is needed, not ${article(typeName(given))}`;
    case 'invalid_value':
      return missing + oneOf(issue.values.map(String), given);
    case 'invalid_union': {
      if ('options' in issue) return missing + oneOf((issue.options ?? []).map(String), given);
      const messages = issue.errors.flatMap((branch) => branch.map(({ message }) => message));
      return missing + [...new Set(messages)].join('; or ');
    }
    case 'invalid_key':
      return 'its name is not one that may stand here';
    default:
      return issue.message;
  }
}

const oneOf = (words: readonly string[], given: unknown): string =>
  `one of ${words.join(', ')}${typeof given === 'string' ? suggestion(given, words) : ''}`;

const typeName = (value: unknown): string => {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
};

function article(type: string): string {
  const word =
    { object: 'mapping', array: 'list', string: 'text', record: 'mapping', int: 'whole number' }[type] ??
    type;
  return word === 'null' ? 'nothing' : `a ${word}`;
}

/** A JSON Schema, as far as names are looked for in it. */
interface Described {
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly additionalProperties?: Described | boolean;
  readonly anyOf?: readonly Described[];
  readonly oneOf?: readonly Described[];
}

/** The fields that may stand at that place, whichever alternative is meant. */
function knownNames(path: ProfilePath): string[] {
  // zod's own type of a JSON Schema is wider; these fields are what draft 2020-12 says.
  let places = [z.toJSONSchema(profileSchema, { io: 'input' }) as Described];
  for (const step of path)
    places = places.flatMap(alternatives).flatMap(({ properties, items, additionalProperties }) => {
      const next =
        typeof step === 'number'
          ? items
          : (properties?.[step] ??
            (typeof additionalProperties === 'object' ? additionalProperties : undefined));
      return next === undefined ? [] : [next];
    });
  return [
    ...new Set(places.flatMap(alternatives).flatMap(({ properties }) => Object.keys(properties ?? {}))),
  ];
}

const alternatives = ({ anyOf = [], oneOf: variants = [], ...place }: Described): Described[] => [
  place,
  ...[...anyOf, ...variants].flatMap(alternatives),
];
