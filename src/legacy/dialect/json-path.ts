/** `$`, `$.a.b`, `$.list[0].id`: places in JSON values, compiled once. Own properties only. */

export type Step = string | number;
/** What stands at the place; undefined where nothing does. */
export type Getter = (value: unknown) => unknown;

const form = /^\$(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d{1,6}\])*$/;
const steps = /\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d{1,6})\]/g;

export const isPath = (text: string): boolean => form.test(text);

/** @param path in the form that `isPath` accepts */
export const stepsOf = (path: string): Step[] =>
  [...path.matchAll(steps)].map(([, name, index]) => name ?? Number(index));

/** The other way round; undefined for a name that the form doesn't know. */
export function pathOf(parts: readonly Step[]): string | undefined {
  const path = `$${parts.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')}`;
  return isPath(path) ? path : undefined;
}

export const compilePath = (path: string): Getter => compileSteps(stepsOf(path));

export const compileSteps =
  (parts: readonly Step[]): Getter =>
  (value) =>
    parts.reduce(memberOf, value);

/** What a value holds by that name or place itself, not by its prototype. */
export function memberOf(value: unknown, step: Step): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
  return (value as Record<Step, unknown>)[step];
}
