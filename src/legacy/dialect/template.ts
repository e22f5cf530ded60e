/**
 * JSON with places in it, compiled once into what writes it. In an event's template a string that is a path (`$.payload`)
 * stands for what is there in the envelope, in the form that may follow a colon (`$.id:number`). In an answer's, `$events`
 * is the list, `$cursor` the cursor (a number where it is one), `$cursor:text` always a string; `$cursor` inside a longer
 * string stands for its text. A string that really begins with `$` is written `$$`.
 */
import type { Profile } from '../../../schema/profile.ts';
import { compilePath, type Getter, isPath, type Step } from './json-path.ts';

export type Template = Profile['response']['event'];
export type AnswerTemplate = Profile['response']['idle'];
/** JSON, or undefined for what is left out. */
type Write<T> = (from: T) => string | undefined;
/** What writes the string; undefined for one that means itself. */
type WriteLeaf<T> = (text: string) => Write<T> | undefined;

interface Leaf {
  readonly steps: readonly Step[];
  readonly value: Exclude<Template, object>;
}

export const eventForms = ['number', 'text', 'epoch-s', 'epoch-ms'] as const;
type EventForm = (typeof eventForms)[number];

/** Compiles what writes the template's JSON. */
export function compileTemplate<T>(template: Template, leaf: WriteLeaf<T>): Write<T> {
  if (typeof template === 'string') {
    const json = JSON.stringify(unescaped(template));
    return leaf(template) ?? (() => json);
  }
  if (template === null || typeof template !== 'object') return () => JSON.stringify(template);
  if (Array.isArray(template)) {
    const items = template.map((item) => compileTemplate(item, leaf));
    return (from) => `[${items.map((write) => write(from) ?? 'null').join(',')}]`;
  }
  const members = Object.entries(template).map(
    ([key, value]) => [`${JSON.stringify(key)}:`, compileTemplate(value, leaf)] as const,
  );
  return (from) => {
    let json = '';
    for (const [key, write] of members) {
      const value = write(from);
      if (value !== undefined) json += json === '' ? key + value : `,${key}${value}`;
    }
    return `{${json}}`;
  };
}

/** Returns every scalar of a template with its place, in order. */
export function leavesOf(template: Template | undefined, steps: readonly Step[] = []): Leaf[] {
  if (template === undefined) return [];
  if (template === null || typeof template !== 'object') return [{ steps, value: template }];
  if (Array.isArray(template)) return template.flatMap((item, index) => leavesOf(item, [...steps, index]));
  return Object.entries(template).flatMap(([name, value]) => leavesOf(value, [...steps, name]));
}

/** `$$5` is the text `$5`. */
export const unescaped = (text: string): string => (text.startsWith('$$') ? text.slice(1) : text);

/** A string of an event's template, taken apart; undefined for one that means itself or nothing known. */
export function eventPlace(text: string): { path: string; form: EventForm | undefined } | undefined {
  const [path = '', form, ...more] = text.split(':');
  if (!isPath(path) || more.length > 0) return undefined;
  if (form === undefined) return { path, form };
  const known = eventForms.find((one) => one === form);
  return known === undefined ? undefined : { path, form: known };
}

/** Strings of an event's template. */
export function eventLeaf(text: string): Write<unknown> | undefined {
  const place = eventPlace(text);
  if (place === undefined) return undefined;
  const get = compilePath(place.path);
  return place.form === undefined ? (from) => JSON.stringify(get(from)) : formed[place.form](get);
}

const formed: Readonly<Record<EventForm, (get: Getter) => Write<unknown>>> = {
  // Digits as they are: a double would round the ids that are longest. What is no number stays text.
  number: (get) => (from) => {
    const value = get(from);
    return typeof value === 'string' && jsonNumber.test(value) ? value : JSON.stringify(value);
  },
  text: (get) => (from) => {
    const value = get(from);
    return JSON.stringify(typeof value === 'number' || typeof value === 'boolean' ? String(value) : value);
  },
  'epoch-s': (get) => (from) => epoch(get(from), 1000),
  'epoch-ms': (get) => (from) => epoch(get(from), 1),
};

const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?$/;

function epoch(value: unknown, unitMs: number): string | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? JSON.stringify(value) : String(Math.floor(ms / unitMs));
}
