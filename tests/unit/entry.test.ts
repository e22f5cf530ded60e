/** An event's JSON on the wire: the key order of protocol 3, nothing lost on the way, nothing that bites. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PublishEvent, envelopeSchema } from '../../schema/envelope.ts';
import { entryJson, ephemeralOf, prepareEvent, preparedBytes } from '../../src/log/entry.ts';

const keyOrder = [
  'seq',
  'id',
  'service',
  'type',
  'timestamp',
  'thread_id',
  'agent',
  'in_reply_to',
  'meta',
  'sender',
  'payload',
];
const nowMs = Date.parse('2026-01-01T00:00:00.000Z');
const text = fc.string({ unit: 'binary' });
/** What a body can hold once JSON.parse has read it: `__proto__` as an own key, lone surrogates, any depth. */
const json = fc.jsonValue({ stringUnit: 'binary' });

const published: fc.Arbitrary<PublishEvent> = fc.record(
  {
    service: fc.constantFrom('finance', 'chat/t-7'),
    type: text.filter((type) => type !== ''),
    payload: json,
    thread_id: text,
    agent: text,
    in_reply_to: text,
    meta: fc.dictionary(text, json),
    to: fc.constant(['ann']),
    ephemeral: fc.constant(false),
  },
  { requiredKeys: ['service', 'type', 'payload'] },
);

/** What `value` is to a peer that speaks JSON. */
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;
const parse = (bytes: Buffer) => {
  // `fatal`: bytes that are not UTF-8 throw.
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Record<string, unknown>;
};

describe('entry', () => {
  it('has exactly these bytes', () => {
    const event = prepareEvent(
      {
        payload: { text: 'Hi' },
        service: 'chat',
        meta: { trace: 't' },
        type: 'assistant_message',
        to: ['ann'],
        agent: 'real_estate',
        in_reply_to: 'm-3',
        thread_id: 't-7',
        later: 1,
      },
      'id-1',
      'bob',
    );
    const rest =
      '"thread_id":"t-7","agent":"real_estate","in_reply_to":"m-3","meta":{"trace":"t"},"sender":"bob","payload":{"text":"Hi"},"later":1}';
    const start =
      '"id":"id-1","service":"chat","type":"assistant_message","timestamp":"2026-01-01T00:00:00.000Z"';
    expect(entryJson(event, 42, nowMs).toString()).toBe(`{"seq":42,${start},${rest}`);
    expect(ephemeralOf(event, nowMs).json.toString()).toBe(`{${start},${rest}`);
  });

  it('keeps every field in the order of the protocol, as UTF-8, without `to`', () => {
    fc.assert(
      fc.property(published, fc.integer({ min: 1 }), (event, seq) => {
        const made = parse(entryJson(prepareEvent(event, 'id-1', 'ann'), seq, nowMs));
        expect(Object.keys(made)).toEqual(keyOrder.filter((key) => key in made));
        const { to: _to, ephemeral: _ephemeral, ...given } = event;
        const added = { seq, id: 'id-1', sender: 'ann', timestamp: '2026-01-01T00:00:00.000Z' };
        expect(made).toEqual({ ...(throughJson(given) as object), ...added });
        expect(envelopeSchema.safeParse(made).success).toBe(true);
      }),
    );
  });

  it('gives an ephemeral event the same envelope without a seq', () => {
    fc.assert(
      fc.property(published, (event) => {
        const prepared = prepareEvent(event, 'id-1');
        const { seq: _seq, ...stored } = parse(entryJson(prepared, 7, nowMs));
        expect(parse(ephemeralOf(prepared, nowMs).json)).toEqual(stored);
      }),
    );
  });

  it('passes unknown fields on', () => {
    const name = text.filter((key) => ![...keyOrder, 'to', 'ephemeral', 'org', '__proto__'].includes(key));
    fc.assert(
      fc.property(published, fc.dictionary(name, json), (event, unknown) => {
        const made = parse(entryJson(prepareEvent({ ...unknown, ...event }, 'id-1'), 1, nowMs));
        expect(made).toMatchObject(throughJson(unknown) as object);
        const known = Object.keys(made).filter((key) => keyOrder.includes(key));
        expect(known).toEqual(keyOrder.filter((key) => key in made));
      }),
    );
  });

  it.each([
    '"payload":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    '"meta":{"__proto__":{"polluted":1}},"payload":1',
    '"payload":1,"__proto__":{"polluted":1}',
    '"payload":{"toJSON":1,"a":[{"__proto__":null}]},"constructor":1,"toJSON":"x"',
  ])('takes %s as the data it is', (fields) => {
    const event = JSON.parse(`{"service":"chat","type":"x",${fields}}`) as PublishEvent;
    const made = entryJson(prepareEvent(event, 'id-1'), 1, nowMs).toString();
    const start = '{"seq":1,"id":"id-1","service":"chat","type":"x","timestamp":"2026-01-01T00:00:00.000Z",';
    expect(made).toBe(`${start}${fields}}`);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('counts its bytes as the publisher sent them: JSON in UTF-8, without seq and timestamp', () => {
    fc.assert(
      fc.property(published, (event) => {
        const prepared = prepareEvent(event, 'id-1');
        const stamped = '"seq":1,,"timestamp":"2026-01-01T00:00:00.000Z"'.length;
        expect(preparedBytes(prepared)).toBe(entryJson(prepared, 1, nowMs).length - stamped);
      }),
    );
  });
});
