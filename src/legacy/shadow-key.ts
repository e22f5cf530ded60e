/** What names an event inside an old answer: the place where the template writes the value that cursors are made of. */
import type { Profile } from '../../schema/profile.ts';
import type { Envelope } from '../../schema/envelope.ts';
import { cursorWire } from './cursor-wire.ts';
import { compilePath, compileSteps } from './json-path.ts';

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

/** The place in the template that `value` is written to, as it is or in another form (`$.id:number`). */
function stepsTo(template: unknown, value: string): (string | number)[] | undefined {
  if (typeof template === 'string')
    return template === value || template.startsWith(`${value}:`) ? [] : undefined;
  if (typeof template !== 'object' || template === null) return undefined;
  for (const [name, inner] of Object.entries(template)) {
    const found = stepsTo(inner, value);
    if (found !== undefined) return [Array.isArray(template) ? Number(name) : name, ...found];
  }
  return undefined;
}
