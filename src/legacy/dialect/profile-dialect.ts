/** The dialect that a profile describes: its templates compiled once, nothing kept between calls. */
import type { Profile } from '../../../schema/profile.ts';
import { compileAnswer, compileReading } from './answers.ts';
import { cursorWire } from './cursor.ts';
import type { Dialect, LegacyAnswer } from './dialect.ts';
import { compileItem } from './item-reading.ts';
import { compilePath } from './json-path.ts';
import { compileAsk, compileQuery } from './request-reading.ts';
import { compileTemplate, eventLeaf } from './template.ts';

/** @param profile as `profileSchema` parsed it and `profileProblems` let it pass */
export function createDialect(profile: Profile): Dialect {
  const { request, response } = profile;
  const wire = cursorWire(request.cursor);
  const eventJson = compileTemplate<unknown>(response.event, eventLeaf);
  const writeEvents = compileAnswer(response.events, wire);
  const writeIdle = compileAnswer(response.idle, wire);
  const errors = new Map<number, LegacyAnswer>(
    Object.entries(response.error).map(([status, template]) => [
      Number(status),
      compileAnswer(template, wire)({ events: [], cursor: undefined }),
    ]),
  );
  const valueOf = compilePath(request.cursor.value);
  return {
    profile,
    ask: compileAsk(profile, wire),
    eventJson: (envelope) => eventJson(envelope) ?? 'null',
    cursorOf(envelope) {
      if (request.cursor.format === 'opaque') return undefined;
      const value = valueOf(envelope);
      const isText = typeof value === 'string' || typeof value === 'number';
      return isText ? wire.canonical(String(value)) : undefined;
    },
    compare: (a, b) => wire.compare(a, b),
    answer: (events, cursor) => writeEvents({ events, cursor }),
    idle: (cursor) => writeIdle({ events: [], cursor }),
    error: (status) => errors.get(status),
    read: compileReading(profile, wire),
    query: compileQuery(profile, wire),
    eventFrom: compileItem(profile),
  };
}
