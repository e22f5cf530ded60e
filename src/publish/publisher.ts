/**
 * Takes in what is published, by HTTP and on the stream alike (docs/PROTOCOL.md, 3 and 11): checks who may publish what
 * and how large it is, gives ids, appends. All of a publish is stored or none of it.
 */
import { z } from 'zod';
import { limits } from '../../schema/codes.ts';
import { isOwnService, type PublishEvent, reservedFields } from '../../schema/envelope.ts';
import { publishItemSchema, type PublishResult } from '../../schema/http.ts';
import type { Clock } from '../clock.ts';
import { asTurnoutError, fail, problemsIn } from '../errors.ts';
import { isObject } from '../json.ts';
import type { Identity } from '../auth/identity.ts';
import { ephemeralOf, type PreparedEvent, preparedBytes, prepareEvent } from '../log/entry.ts';
import { type EventLog, tokenPublisher } from '../log/event-log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { PublishRate } from './publish-rate.ts';

/** As whom a caller publishes: a backend for the orgs of its token, or an end user within the `publish` claim. */
export type PublisherRole = 'producer' | 'user';

/** An event of a publish; the org may stand in each, as long as it is the same. */
export type PublishItem = PublishEvent & { readonly org?: string | undefined };

export interface PublisherDeps {
  /** Services that a bridge appends to, and the profile of each: nobody else may publish there. */
  readonly bridged?: ReadonlyMap<string, string>;
  readonly log: Pick<EventLog, 'append' | 'publishEphemeral'>;
  readonly clock: Pick<Clock, 'now' | 'id'>;
  readonly metrics: Pick<Metrics, 'eventsAppended' | 'eventsDuplicate' | 'publishRejected'>;
  /** Of end users. */
  readonly rate: PublishRate;
}

const batchSchema = z.looseObject({ org: z.unknown().optional(), events: z.array(z.unknown()).min(1) });
const itemsSchema = z.array(publishItemSchema);

/** What the size of an event may gain by `org`, `ephemeral` and the id that we give: exact sizes are asked past that. */
const slackBytes = 512;

export class Publisher {
  constructor(private readonly deps: PublisherDeps) {}

  /**
   * Publishes a body: one event, or `{"events":[…]}`.
   * @throws role_required, org_forbidden, service_forbidden, service_reserved, rate_limited, bad_request, reserved_field, mixed_batch, too_large,
   *   log_unavailable: nothing was stored.
   */
  publishBody(identity: Identity, role: PublisherRole, body: () => Promise<unknown>): Promise<PublishResult> {
    return this.take(identity, role, async () => parsePublish(await body()));
  }

  /** Publishes events that were parsed already, as the stream's frames are. @throws as `publishBody` */
  publish(identity: Identity, role: PublisherRole, items: readonly PublishItem[]): Promise<PublishResult> {
    return this.take(identity, role, async () => items);
  }

  /** The same for one event. */
  async publishOne(
    identity: Identity,
    role: PublisherRole,
    item: PublishItem,
  ): Promise<{ id: string; seq?: number }> {
    const [result] = (await this.publish(identity, role, [item])).results;
    if (result === undefined) throw fail('internal', 'a publish of one event has one result');
    return { id: result.id, ...(result.seq === undefined ? {} : { seq: result.seq }) };
  }

  private async take(identity: Identity, role: PublisherRole, read: () => Promise<readonly PublishItem[]>) {
    try {
      // Before the body: a caller that may not publish at all learns nothing about what a good one looks like.
      if (role === 'producer' && !identity.roles.has('producer')) throw fail('role_required');
      if (role === 'user' && identity.publishes.isEmpty)
        throw fail('service_forbidden', 'the token may publish to no service');
      if (role === 'user') this.deps.rate.admit(identity);
      return await this.store(identity, role, await read());
    } catch (thrown) {
      this.deps.metrics.publishRejected.inc({ code: asTurnoutError(thrown).code });
      throw thrown;
    }
  }

  private async store(identity: Identity, role: PublisherRole, items: readonly PublishItem[]) {
    const { log, metrics, clock, bridged } = this.deps;
    for (const { service } of items) mustNotBeReserved(service, bridged);
    const org = orgOf(identity, role, items);
    const isEphemeral = items.some((item) => item.ephemeral === true);
    if (isEphemeral && !items.every((item) => item.ephemeral === true)) throw fail('mixed_batch');
    const sender = role === 'user' ? identity.sub : undefined;
    const events = items.map((item) => prepare(item, item.id ?? clock.id(), sender));
    const bytes = weigh(items, events);
    if (role === 'user') this.deps.rate.charge(identity, events.length, bytes);

    if (isEphemeral) {
      const ms = clock.now();
      await log.publishEphemeral(
        org,
        events.map((event) => ephemeralOf(event, ms)),
      );
      return { results: events.map(({ id }) => ({ id })) };
    }
    const { epoch, results } = await log.append(org, tokenPublisher(identity.org, identity.sub), events);
    const duplicates = results.filter((result) => result.duplicate === true).length;
    metrics.eventsAppended.inc(results.length - duplicates);
    metrics.eventsDuplicate.inc(duplicates);
    return { results: [...results], epoch };
  }
}

/** @throws bad_request, reserved_field, too_large */
function parsePublish(body: unknown): PublishItem[] {
  if (!isObject(body)) throw fail('bad_request', 'a publish is one event or {"events":[…]}');
  const isBatch = Object.hasOwn(body, 'events') && !Object.hasOwn(body, 'type');
  const raw = isBatch ? eventsOf(body) : [body];
  if (raw.length > limits.batchEvents)
    throw fail('too_large', `a publish has at most ${limits.batchEvents} events`);
  for (const item of raw) mustNotReserve(item);
  const parsed = itemsSchema.safeParse(raw);
  if (!parsed.success) throw fail('bad_request', problemsIn(parsed.error.issues, 'event', 5));
  return parsed.data;
}

/** The events of a batch; an org beside them stands for each that names none. */
function eventsOf(body: object): unknown[] {
  const parsed = batchSchema.safeParse(body);
  if (!parsed.success) throw fail('bad_request', problemsIn(parsed.error.issues, 'event', 5));
  const { org, events } = parsed.data;
  if (org === undefined) return events;
  return events.map((event) => (isObject(event) && !Object.hasOwn(event, 'org') ? { ...event, org } : event));
}

function mustNotReserve(item: unknown): void {
  if (!isObject(item)) return;
  const reserved = reservedFields.find((field) => Object.hasOwn(item, field));
  if (reserved !== undefined) throw fail('reserved_field', `${reserved} is set by the server`);
}

/** @throws service_reserved */
function mustNotBeReserved(service: string, bridged: PublisherDeps['bridged']): void {
  if (isOwnService(service)) throw fail('service_reserved', `${service} holds Turnout's own marks`);
  const profile = bridged?.get(service);
  if (profile !== undefined)
    throw fail('service_reserved', `only the bridge of the profile ${profile} publishes to ${service}`);
}

/** The one org of a publish, which the caller may publish to. @throws bad_request, org_forbidden, service_forbidden */
function orgOf(identity: Identity, role: PublisherRole, items: readonly PublishItem[]): string {
  const orgs = new Set(items.map((item) => item.org ?? identity.org));
  const [org = identity.org] = orgs;
  if (orgs.size > 1) throw fail('bad_request', 'a publish is for one org');
  if (role === 'producer') {
    const { producerOrgs } = identity;
    if (!producerOrgs.includes('*') && !producerOrgs.includes(org)) throw fail('org_forbidden');
    return org;
  }
  if (org !== identity.org) throw fail('org_forbidden');
  for (const { service } of items)
    if (!identity.publishes.allows(service))
      throw fail('service_forbidden', `the token may not publish to ${service}`);
  return org;
}

/** @throws bad_request where the event can't be written as JSON */
function prepare(item: PublishItem, id: string, sender: string | undefined): PreparedEvent {
  try {
    return prepareEvent(item, id, sender);
  } catch (cause) {
    // What JSON.parse reads without recursion, JSON.stringify may be too deep for.
    throw fail('bad_request', 'the event is nested too deep', { cause });
  }
}

/** Returns the bytes of all together, each event as its publisher wrote it. @throws too_large */
function weigh(items: readonly PublishItem[], events: readonly PreparedEvent[]): number {
  let together = 0;
  for (const [place, event] of events.entries()) {
    // The publisher's own JSON is weighed: the id that we gave and the sender that we set are not theirs. Ours is never
    // smaller than theirs by more than the slack, so most events need not be written again to be weighed.
    const ours = preparedBytes(event);
    const isExact = events.length > 1 || event.to !== null || ours + slackBytes > limits.eventBytes;
    const bytes = isExact ? Buffer.byteLength(JSON.stringify(items[place])) : ours;
    if (bytes > limits.eventBytes) throw fail('too_large', `an event has at most ${limits.eventBytes} bytes`);
    together += bytes;
  }
  if (together > limits.batchBytes)
    throw fail('too_large', `a publish has at most ${limits.batchBytes} bytes`);
  return together;
}
