/** What names an event inside an old answer: the place where the template writes the value that cursors are made of. */
import type { Profile } from '../../../schema/profile.ts';
import type { Envelope } from '../../../schema/envelope.ts';
import { cursorWire } from '../dialect/cursor-wire.ts';
import { leavesOf } from '../dialect/answer-reading.ts';
import { compilePath, compileSteps, stepsOf } from '../dialect/json-path.ts';
import { eventPlace, type Template } from '../dialect/template.ts';

export interface EventKeys {
  /** Of an event in the old API's shape; undefined where it has none. */
  ofItem(item: unknown): string | undefined;
  /** Of the same event in Turnout's log. */
  ofEnvelope(envelope: Envelope): string | undefined;
}

/** Undefined where the template writes no such value: then nothing says which event is which. */
export function eventKeys({ request, response }: Profile): EventKeys | undefined {
  const isOpaque = request.cursor.format === 'opaque';
  const value = isOpaque ? '$.id' : request.cursor.value;
  const steps = stepsTo(response.event, value);
  if (steps === undefined) return undefined;
  const wire = cursorWire(request.cursor);
  const canonical = (found: unknown): string | undefined => {
    if (typeof found !== 'string' && typeof found !== 'number') return undefined;
    return isOpaque ? String(found) : wire.canonical(String(found));
  };
  const [inItem, inEnvelope] = [compileSteps(steps), compilePath(value)];
  return {
    ofItem: (item) => canonical(inItem(item)),
    ofEnvelope: (envelope) => canonical(inEnvelope(envelope)),
  };
}

/** The place in the template that `value` is written to: by itself, in another form (`$.id:number`), or inside `$.payload`. */
function stepsTo(template: Template, value: string): (string | number)[] | undefined {
  const wanted = stepsOf(value);
  for (const { steps, value: leaf } of leavesOf(template)) {
    const place = typeof leaf === 'string' ? eventPlace(leaf) : undefined;
    const at = place && stepsOf(place.path);
    if (at === undefined || place?.form?.startsWith('epoch')) continue;
    if (at.length <= wanted.length && at.every((step, index) => step === wanted[index]))
      return [...steps, ...wanted.slice(at.length)];
  }
  return undefined;
}

/** Events of one instant share a key where timestamps are the cursors: those after the first are numbered as they stand. */
export function numbering(): (key: string) => string {
  const seen = new Map<string, number>();
  return (key) => {
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count === 1 ? key : `${key}\n${count}`;
  };
}

/** Without its number. */
export const bareKey = (key: string): string => key.split('\n', 1)[0] ?? key;
