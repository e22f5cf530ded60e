/** The dialect that a profile describes: its templates compiled once, nothing kept between calls. */
import type { Profile } from '../../../schema/profile.ts';
import { compileAnswer, compileReading, textReader } from './answers.ts';
import { cursorWire } from './cursor.ts';
import type { Dialect } from './dialect.ts';
import { compileItem } from './item-reading.ts';
import { compilePath } from './json-path.ts';
import { compileAsk, compileQuery } from './request-reading.ts';
import { compileTemplate, eventLeaf } from './template.ts';

/** @param profile as `profileSchema` parsed it and `checkProfile` let it pass */
export function createDialect(profile: Profile): Dialect {
  const { request, response } = profile;
  const wire = cursorWire(request.cursor);
  const eventJson = compileTemplate<unknown>(response.event, eventLeaf);
  const writeEvents = compileAnswer(response.events, wire);
  const writeIdle = compileAnswer(response.idle, wire);
  const { format, value } = request.cursor;
  return {
    profile,
    ask: compileAsk(profile, wire),
    eventJson: (envelope) => eventJson(envelope) ?? 'null',
    cursorOf: format === 'opaque' ? () => undefined : textReader(compilePath(value), wire.canonical),
    compare: (a, b) => wire.compare(a, b),
    answer: (events, cursor) => writeEvents({ events, cursor }),
    idle: (cursor) => writeIdle({ events: [], cursor }),
    error(status) {
      const template = response.error[status];
      return template && compileAnswer(template, wire)({ events: [], cursor: undefined });
    },
    read: compileReading(profile, wire),
    query: compileQuery(profile, wire),
    eventFrom: compileItem(profile),
  };
}
