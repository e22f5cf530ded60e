/** Answers in the old API's form, from the response templates. */
import type { Profile } from '../../../schema/profile.ts';
import type { CursorWire } from './cursor-wire.ts';
import { splitOnce } from './cursor-wire.ts';
import type { LegacyAnswer } from './dialect.ts';
import { compileTemplate, unescaped } from './template.ts';

type AnswerTemplate = Profile['response']['idle'];

/** What fills an answer's places. */
interface Filling {
  /** As JSON, each. */
  readonly events: readonly string[];
  readonly cursor: string | undefined;
}

type WriteAnswer = (filling: Filling) => LegacyAnswer;
type WriteText = (filling: Filling) => string | undefined;

export function compileAnswer(template: AnswerTemplate, wire: CursorWire): WriteAnswer {
  const headers = Object.entries(template.headers).map(
    ([name, text]) => [name.toLowerCase(), headerText(text, wire)] as const,
  );
  const { status, body } = template;
  const write =
    body === undefined ? undefined : compileTemplate<Filling>(body, (text) => answerLeaf(text, wire));
  if (write !== undefined && !headers.some(([name]) => name === 'content-type'))
    headers.push(['content-type', () => 'application/json; charset=utf-8']);
  return (filling) => ({
    status,
    headers: Object.fromEntries(
      headers.flatMap(([name, text]) => {
        const value = text(filling);
        return value === undefined ? [] : [[name, value]];
      }),
    ),
    body: write === undefined ? undefined : Buffer.from(write(filling) ?? 'null'),
  });
}

function answerLeaf(text: string, wire: CursorWire): WriteText | undefined {
  if (text === '$events') return ({ events }) => `[${events.join(',')}]`;
  if (text === '$cursor') return ({ cursor }) => (cursor === undefined ? undefined : wire.json(cursor));
  if (!holdsCursor(text)) return undefined;
  const place = textPlace(text);
  return ({ cursor }) =>
    cursor === undefined ? undefined : JSON.stringify(place.before + wire.wrapped(cursor) + place.after);
}

function headerText(text: string, wire: CursorWire): WriteText {
  if (!holdsCursor(text)) return () => unescaped(text);
  const place = textPlace(text);
  return ({ cursor }) =>
    cursor === undefined ? undefined : place.before + wire.wrapped(cursor) + place.after;
}

/** `$$cursor` is a text that only looks like a place. */
export const holdsCursor = (text: string): boolean => text.includes('$cursor') && !text.startsWith('$$');

/** Where in a text the cursor stands: `$cursor:text` by itself, or anywhere inside. */
export function textPlace(text: string): { readonly before: string; readonly after: string } {
  const [before, after] = splitOnce(text === '$cursor:text' ? '$cursor' : text, '$cursor');
  return { before, after };
}
