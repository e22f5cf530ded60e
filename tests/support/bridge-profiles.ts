/** A profile for each kind of source, as an operator would write them. */
import { type Profile, profileSchema } from '../../schema/profile.ts';

/** @param source as it stands in a profile's file */
export function bridgeProfile(name: string, source: object, upstream = 'http://127.0.0.1:9'): Profile {
  return profileSchema.parse({
    name,
    match: { path: `/api/${name}` },
    upstream,
    request: {
      cursor: { in: 'query', name: 'since', format: 'integer' },
      wait: { in: 'query', name: 'timeout', default: 20, max: 60 },
      services: { fixed: ['updates'] },
    },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { updates: '$events', next: '$cursor' } },
      event: { seq: '$.id:number', kind: '$.type', payload: '$.payload' },
    },
    source,
  });
}

export const streamSource = (url: string) => ({
  kind: 'redis-stream',
  url,
  key: 'old-stream:{org}',
  id: '$id',
  type: 'kind',
  payload: 'data',
});

export const pubsubSource = (url: string) => ({
  kind: 'redis-pubsub',
  url,
  channel: 'old-channel:{org}',
  id: 'id',
  type: 'kind',
  payload: 'data',
});

export const pollSource = (orgs: readonly string[]) => ({
  kind: 'long-poll',
  readers: orgs.map((org) => ({ org, headers: { 'x-org': org } })),
  items: '$.updates',
  next: '$.next',
  id: 'seq',
  type: 'kind',
  payload: 'payload',
});
