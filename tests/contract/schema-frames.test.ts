/** The generated JSON Schemas accept the frames and bodies of docs/PROTOCOL.md, and refuse what it refuses. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { generateSchemas } from '../../schema/generate.ts';

const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
formats.default(ajv);

const validators = new Map<string, ValidateFunction>();
for (const [path, text] of generateSchemas())
  if (path.endsWith('.schema.json')) validators.set(path, ajv.compile(JSON.parse(text)));

/** @returns why `value` is refused, or '' where it is accepted. */
function refusal(path: string, value: unknown): string {
  const validate = validators.get(path);
  if (validate === undefined) throw new Error(`no schema ${path}`);
  return validate(value) ? '' : ajv.errorsText(validate.errors);
}

const timestamp = '2026-01-01T00:00:00.000Z';
const message = {
  seq: 1,
  id: 'm-1',
  service: 'chat',
  type: 'assistant_message',
  timestamp,
  thread_id: 't-7',
  agent: 'real_estate',
  in_reply_to: 'u-1',
  meta: { trace: 'tr-1' },
  payload: {
    text: 'Four homes match.',
    actions: [{ type: 'show_listings', listings: [{ id: 'l-1', price: 250_000, city: 'Lisbon' }] }],
  },
};
const typing = { id: 'e-1', service: 'chat', type: 'chat_status', timestamp, payload: { status: 'typing' } };
const cursor = 'abc-41-xyz';

const accepted: [path: string, name: string, value: unknown][] = [
  ['ws/1.0/envelope.schema.json', 'a stored event', message],
  ['ws/1.0/envelope.schema.json', 'an ephemeral event, without seq', typing],
  [
    'ws/1.0/envelope.schema.json',
    'unknown fields, at every level',
    { ...message, tenure: 'long', meta: { a: 1 } },
  ],
  ['ws/1.0/envelope.schema.json', 'a payload of null', { ...typing, payload: null }],
  ['ws/1.0/assistant_message.schema.json', 'the message of the golden frame', message],
  [
    'generated/server-frame.schema.json',
    'event',
    { type: 'event', service: 'chat', events: [message], seq: 1, cursor },
  ],
  [
    'generated/server-frame.schema.json',
    'ack',
    { type: 'ack', seq: 0, cursor, epoch: 'e', timestamp, connection: 'c', pingMs: 30_000, assignment: 18 },
  ],
  [
    'generated/server-frame.schema.json',
    'ephemeral',
    { type: 'ephemeral', service: 'chat', events: [typing] },
  ],
  ['generated/server-frame.schema.json', 'ping', { type: 'ping', timestamp, seq: 57, cursor }],
  [
    'generated/server-frame.schema.json',
    'reset',
    { type: 'reset', reason: 'expired', seq: 57, cursor, epoch: 'e' },
  ],
  [
    'generated/server-frame.schema.json',
    'migrate',
    { type: 'migrate', transport: 'long-poll', withinMs: 5000, reason: 'rollback', assignment: 19, cursor },
  ],
  [
    'generated/server-frame.schema.json',
    'reconnect',
    { type: 'reconnect', withinMs: 5000, reason: 'draining', cursor },
  ],
  ['generated/server-frame.schema.json', 'published', { type: 'published', id: 'p-1', seq: 43 }],
  [
    'generated/server-frame.schema.json',
    'error',
    { type: 'error', code: 'service_forbidden', message: 'no', ref: 'finance' },
  ],
  [
    'generated/first-frame.schema.json',
    'the first frame',
    { services: ['finance', 'guest', 'staff'], version: 1 },
  ],
  [
    'generated/first-frame.schema.json',
    'one with lastSeq',
    { services: ['finance'], version: 1, lastSeq: 2 },
  ],
  ['generated/client-frame.schema.json', 'subscribe', { type: 'subscribe', services: ['chat/thread-7'] }],
  ['generated/client-frame.schema.json', 'an empty unsubscribe', { type: 'unsubscribe', services: [] }],
  [
    'generated/client-frame.schema.json',
    'publish',
    { type: 'publish', id: 'p-1', service: 'chat', event: { type: 'message', payload: {} } },
  ],
  ['generated/client-frame.schema.json', 'auth', { type: 'auth', token: 'a.b.c' }],
  ['generated/client-frame.schema.json', 'pong', { type: 'pong' }],
  [
    'generated/client-frame.schema.json',
    'pong with an audit',
    { type: 'pong', audit: { epoch: 'e', from: 40, to: 57, count: 12, sum: 580, repeats: 0 } },
  ],
  [
    'generated/poll.schema.json',
    'a poll with events',
    { events: [message], cursor, seq: 57, epoch: 'e', transport: 'long-poll', assignment: 18 },
  ],
  [
    'generated/poll.schema.json',
    'a poll with reset',
    {
      events: [],
      reset: { reason: 'fork' },
      cursor,
      seq: 57,
      epoch: 'e',
      transport: 'long-poll',
      assignment: 18,
    },
  ],
  [
    'generated/profile.schema.json',
    'the least that a profile says',
    {
      name: 'acme-v1',
      match: { path: '/api/updates' },
      upstream: 'http://backend:3000',
      request: {
        cursor: { in: 'query', name: 'since', format: 'integer' },
        services: { fixed: ['updates'] },
      },
      response: {
        idle: { status: 204 },
        events: { status: 200, body: { updates: '$events', next: '$cursor' } },
        event: { id: '$.id' },
      },
    },
  ],
  [
    'generated/poll-query.schema.json',
    'a poll query',
    { services: 'finance,chat', cursor, wait: '25', limit: '500' },
  ],
  ['generated/negotiate-request.schema.json', 'an empty negotiate', {}],
  [
    'generated/negotiate-request.schema.json',
    'a full negotiate',
    {
      supports: ['websocket', 'long-poll'],
      current: 'long-poll',
      cursor,
      session: 's-1',
      assignment: 17,
      override: 'websocket',
      blocked: false,
      sdk: 'turnout-js/1.0.0',
    },
  ],
  [
    'generated/negotiate-response.schema.json',
    'a decision',
    {
      transport: 'websocket',
      cohort: 'canary',
      reason: 'rollout',
      assignment: 18,
      urls: { websocket: '/v2/realtime/stream?ticket=t', 'long-poll': '/v1/realtime/poll' },
      cursor,
      client: {
        autoreconnect: true,
        backoffMs: [1000, 2000, 4000, 8000, 16_000],
        jitter: 0.2,
        maxAttempts: 10,
        reconnectWithinMs: 2000,
        pingMs: 30_000,
      },
    },
  ],
  [
    'generated/publish-request.schema.json',
    'one event',
    { service: 'finance', type: 'revenue', payload: {} },
  ],
  [
    'generated/publish-request.schema.json',
    'a batch',
    { org: 'acme', events: [{ service: 'finance', type: 'revenue', payload: 1, to: ['u-1'] }] },
  ],
  [
    'generated/publish-response.schema.json',
    'its answer',
    {
      results: [{ seq: 43, id: 'a' }, { seq: 12, id: 'b', duplicate: true }, { id: 'ephemeral' }],
      epoch: 'e',
    },
  ],
  [
    'generated/error.schema.json',
    'an error',
    { error: { code: 'log_unavailable', message: 'm', retry: 'backoff', requestId: 'r' } },
  ],
  [
    'generated/node-metrics.schema.json',
    "a node's totals",
    {
      activeConnections: 1,
      totalConnections: 2,
      eventsDelivered: 3,
      compressedMessages: 4,
      missedEventsReplayed: 5,
      connectionPoolStats: { totalSubscriptions: 1, totalConnections: 1, totalOrgs: 1 },
    },
  ],
  [
    'generated/claims.schema.json',
    'claims',
    { sub: 'u-1', org: 'acme', exp: 1, services: ['chat/*', 'finance'] },
  ],
];

const { payload: _payload, ...withoutPayload } = message;
const { thread_id: _thread, ...withoutThread } = message;
const refused: [path: string, name: string, value: unknown][] = [
  ['ws/1.0/envelope.schema.json', 'an event without payload', withoutPayload],
  ['ws/1.0/envelope.schema.json', 'a service in capitals', { ...message, service: 'Chat' }],
  ['ws/1.0/envelope.schema.json', 'seq 0', { ...message, seq: 0 }],
  ['ws/1.0/envelope.schema.json', 'a timestamp that is none', { ...message, timestamp: 'yesterday' }],
  ['ws/1.0/assistant_message.schema.json', 'one without a thread', withoutThread],
  [
    'ws/1.0/assistant_message.schema.json',
    'an action without type',
    { ...message, payload: { actions: [{}] } },
  ],
  ['generated/first-frame.schema.json', 'another version', { services: ['finance'], version: 2 }],
  ['generated/first-frame.schema.json', 'no services', { services: [], version: 1 }],
  ['generated/client-frame.schema.json', 'an unknown type', { type: 'shout' }],
  [
    'generated/server-frame.schema.json',
    'an event frame without events',
    { type: 'event', service: 'chat', events: [] },
  ],
  [
    'generated/publish-request.schema.json',
    'an event without payload',
    { service: 'finance', type: 'revenue' },
  ],
  ['generated/publish-request.schema.json', 'an empty batch', { events: [] }],
  [
    'generated/error.schema.json',
    'an unknown code',
    { error: { code: 'oops', message: '', retry: 'now', requestId: '' } },
  ],
];

describe('JSON Schemas', () => {
  it.each(accepted)('%s accepts %s', (path, _name, value) => {
    expect(refusal(path, value)).toBe('');
  });

  it.each(refused)('%s refuses %s', (path, _name, value) => {
    expect(refusal(path, value)).not.toBe('');
  });

  it('has an example for each schema', () => {
    const shown = new Set(accepted.map(([path]) => path));
    const withoutExample = [...validators.keys()].filter((path) => !shown.has(path));
    expect(withoutExample).toEqual(['generated/publish-event.schema.json', 'generated/code.schema.json']);
  });
});
