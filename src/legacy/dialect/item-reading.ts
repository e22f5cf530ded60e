/**
 * Items of a source as events. A field of the profile's source says where a value stands: `name` a field of the item,
 * `$.a.b` a place in it, `$` the whole item, `$id` a Redis stream entry's own id, `=order` the word `order` itself. Values
 * of a Redis stream are texts: as payloads and under a path they are JSON where they parse as JSON.
 */
import { eventIdSchema, eventTypeSchema, orgSchema, userSchema } from '../../../schema/envelope.ts';
import { limits } from '../../../schema/codes.ts';
import type { Profile, ProfileSource } from '../../../schema/profile.ts';
import { type Dialect, LegacyItemError, type StreamItem } from './dialect.ts';
import { parseWhereItParses } from './exact-json.ts';
import { compilePath, isPath, memberOf } from './json-path.ts';
import { bridgedServiceOf } from './source-entry.ts';

/** An item, as every source's items look from here. */
interface Item {
  /** Of a Redis stream's entry. */
  readonly id: string | undefined;
  readonly whole: unknown;
  /** Its fields are texts, which may be JSON. */
  readonly isText: boolean;
}

type Ref = (item: Item) => unknown;

/** True for what the fields of a source may hold. */
export const isItemRef = (ref: string): boolean =>
  ref === '$id' || isPath(ref) || ref.startsWith('=') || /^[^$=]/.test(ref);

export function compileItem(profile: Profile): Dialect['eventFrom'] {
  const { source } = profile;
  if (source === undefined)
    return () => {
      throw new LegacyItemError('the profile names no source');
    };
  const asItem = itemForms[source.kind];
  const { kind, payload: payloadRef, to: toRef } = source;
  const orgRef = kind === 'long-poll' ? undefined : source.org;
  const [readId, readType] = [textAt('id', source.id), textAt('type', source.type)];
  const readPayload = compileRef(payloadRef, 'json');
  const readTo = toRef === undefined ? undefined : compileRef(toRef, 'json');
  const readOrg = orgRef === undefined ? undefined : textAt('org', orgRef);
  const service = bridgedServiceOf(profile) ?? '';
  return (given) => {
    const item = asItem(given);
    const [id, type, payload] = [readId(item), readType(item), readPayload(item)];
    if (payload === undefined) throw new LegacyItemError(`no payload: the item has nothing at ${payloadRef}`);
    const to = readTo && recipients(readTo(item), toRef ?? '');
    return { event: { id, service, type, payload, ...(to !== undefined && { to }) }, org: readOrg?.(item) };
  };
}

function textAt(what: keyof typeof texts, ref: string): (item: Item) => string {
  const read = compileRef(ref, 'text');
  return (item) => checked(what, read(item), ref);
}

function compileRef(ref: string, as: 'text' | 'json'): Ref {
  if (ref.startsWith('=')) return () => ref.slice(1);
  if (ref === '$id') return ({ id }) => id;
  if (isPath(ref)) {
    const get = compilePath(ref);
    return ({ whole, isText }) => get(isText ? parsedFields(whole) : whole);
  }
  return ({ whole, isText }) => {
    const value = memberOf(whole, ref);
    return as === 'json' && isText ? parsed(value) : value;
  };
}

const parsed = (value: unknown): unknown => (typeof value === 'string' ? parseWhereItParses(value) : value);

const parsedFields = (fields: unknown): unknown =>
  Object.fromEntries(Object.entries(fields ?? {}).map(([name, value]) => [name, parsed(value)]));

const jsonItem = (whole: unknown): Item => ({ id: undefined, whole, isText: false });

const itemForms: Readonly<Record<ProfileSource['kind'], (given: unknown) => Item>> = {
  'redis-stream'(given) {
    // The bridge alone calls this for a stream, with what it read there.
    const { id, fields } = given as StreamItem;
    return { id, whole: fields, isText: true };
  },
  'redis-pubsub': (message) => jsonItem(parsed(message)),
  'long-poll': jsonItem,
};

const text = (value: unknown): unknown =>
  typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;

const nameRule = '1 to 128 of A-Z a-z 0-9 . _ @ : -';

/** What an event's texts must be. */
const texts = {
  id: { schema: eventIdSchema, rule: '1 to 128 printable ASCII characters without spaces' },
  type: { schema: eventTypeSchema, rule: 'a text of 1 to 128 characters' },
  org: { schema: orgSchema, rule: nameRule },
  user: { schema: userSchema, rule: nameRule },
};

function checked(what: keyof typeof texts, value: unknown, ref: string): string {
  if (value === undefined || value === null)
    throw new LegacyItemError(`no ${what}: the item has nothing at ${ref}`);
  const { schema, rule } = texts[what];
  const { success, data } = schema.safeParse(text(value));
  if (!success) throw new LegacyItemError(`the ${what} at ${ref} is not ${rule}`);
  return data;
}

/** A list, one name, or names with commas between. Nothing there: for everybody. */
function recipients(value: unknown, ref: string): string[] | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const names: unknown[] = Array.isArray(value) ? value : String(text(value)).split(',');
  // An empty list is for nobody; taken for "everybody", it would show it to all.
  if (names.length === 0 || names.length > limits.recipients)
    throw new LegacyItemError(`the users at ${ref} are not 1 to ${limits.recipients}`);
  return names.map((name) => checked('user', typeof name === 'string' ? name.trim() : name, ref));
}
