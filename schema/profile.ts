/**
 * A profile: another API's dialect of a long poll, as one file (YAML or JSON). This is its source of truth; editors complete
 * it from `schema/generated/profile.schema.json`. docs/STREAMING_MIGRATION.md tells what to write in one.
 */
import { z } from 'zod';
import { limits } from './codes.ts';
import { orgSchema, serviceSchema } from './envelope.ts';

/** `$`, `$.a.b`, `$.list[0].id`: a place in a JSON value. */
const pathSchema = z
  .string()
  .max(256)
  .regex(/^\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[\d{1,6}\])*$/, 'a path is `$`, `$.name` or `$.list[0].name`');

const urlSchema = z.url({ protocol: /^https?$/, error: 'an http or https URL' }).refine((url) => {
  // Asked of what is no URL, too: that has its own message already.
  if (!URL.canParse(url)) return true;
  const { username, password } = new URL(url);
  return username === '' && password === '';
}, 'a URL without user and password: files are read by many');
const redisUrlSchema = z.string().regex(/^rediss?:\/\//, 'a redis:// or rediss:// URL');
const nameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower case letters, digits and dashes');
const headerNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'a header, cookie or parameter name');
const statusSchema = z.int().min(200).max(599);
/**
 * Any JSON. In an event's, strings that are paths stand for what is there in the envelope, in the form that may follow
 * (`$.id:number`, `:text`, `:epoch-s`, `:epoch-ms`). In an answer's, `$events` and `$cursor` are its own; `$cursor` is a
 * number where the format is one and nothing is wrapped around it, `$cursor:text` never, and in a header or a longer text
 * it stands inside. `$$` begins a text that begins with `$`.
 */
const templateSchema = z.json();

/** Paths that come here: exact, or with `/*` at the end for all below. */
const routeSchema = z.string().regex(/^\/[^\s?#*]*(\/?\*)?$/, 'a path, perhaps with /* at its end');

/** Who asks: read from the request, then told by the token itself or asked of the old backend. */
const authSchema = z.strictObject({
  from: z.enum(['cookie', 'bearer', 'header', 'query']),
  /** Of the cookie, header or parameter; a bearer token has none. */
  name: headerNameSchema.optional(),
  /** A JWT that Turnout can verify by its own key settings. */
  jwt: z
    .strictObject({
      user: pathSchema,
      org: z.union([pathSchema, orgSchema]),
      /** `kept`: who may not read the profile's services by the token's `services` claim is left to the old backend. */
      services: z.enum(['kept', 'ignored']).default('kept'),
    })
    .optional(),
  /** Whatever it is, the old backend knows: asked with the same credential, answered 2xx with JSON. */
  resolve: z
    .strictObject({
      url: urlSchema,
      user: pathSchema,
      org: z.union([pathSchema, orgSchema]),
      cacheSeconds: z.number().min(0).max(3600).default(60),
    })
    .optional(),
});

/** Where in a request a value stands. */
const fieldSchema = z.strictObject({ in: z.enum(['query', 'header', 'body']), name: headerNameSchema });

const cursorSchema = fieldSchema.extend({
  /** `integer`, `timestamp` and `stream-id` (a Redis stream's) are ordered; `string` is an event's own id; `opaque` is Turnout's cursor, and leads nowhere in the old backend. */
  format: z.enum(['integer', 'timestamp', 'stream-id', 'string', 'opaque']),
  /** Where in the envelope the value stands that names the place after that event. Unused for `opaque`. */
  value: pathSchema.default('$.id'),
  /** What a request without a cursor is given: what comes from now on, or what the old backend says. */
  absent: z.enum(['head', 'upstream']).default('upstream'),
  /** What surrounds the value on the wire, `"{}"` for an ETag. */
  wrap: z.string().max(64).regex(/\{\}/, 'text with {} in it').default('{}'),
});

const requestSchema = z.strictObject({
  cursor: cursorSchema,
  wait: fieldSchema
    .extend({
      unit: z.enum(['s', 'ms']).default('s'),
      /** In `unit`. */
      default: z.number().min(0),
      max: z.number().min(0),
    })
    .optional(),
  limit: fieldSchema
    .extend({
      default: z.int().min(1).max(limits.pollEvents),
      max: z.int().min(1).max(limits.pollEvents),
    })
    .optional(),
  services: z.strictObject({ fixed: z.array(serviceSchema).min(1).max(100) }),
});

const answerSchema = z.strictObject({
  status: statusSchema,
  headers: z.record(headerNameSchema, z.string().max(1024)).default({}),
  /** Absent: an answer without a body. */
  body: templateSchema.optional(),
});

const responseSchema = z.strictObject({
  idle: answerSchema,
  events: answerSchema,
  /** One event, from the envelope: `{ id: $.id, kind: $.type, data: $.payload }`. */
  event: templateSchema,
  error: z.record(z.string().regex(/^[45]\d\d$/), answerSchema).default({}),
});

/**
 * How an item of the source becomes an event: the name of a field, a path, `$` for the whole item, `$id` for the id of a
 * Redis stream's entry, or `=order` for the word itself. In all of a source `${NAME}` is taken from the environment.
 */
const itemFields = {
  /** Names the event in the source for ever: what is read twice is stored once. */
  id: z.string().max(256),
  type: z.string().max(256),
  payload: z.string().max(256),
  /** Users who alone receive it. */
  to: z.string().max(256).optional(),
  service: serviceSchema.optional(),
};

const sourceSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('redis-stream'),
    url: redisUrlSchema,
    /** `updates:{org}`; or one key whose entries name their org in the field `org`. */
    key: z.string().min(1).max(512),
    org: z.string().max(256).optional(),
    /** Only these; absent: every key of that form, looked for every few seconds. */
    orgs: z.array(orgSchema).max(10_000).optional(),
    ...itemFields,
  }),
  z.strictObject({
    kind: z.literal('redis-pubsub'),
    url: redisUrlSchema,
    channel: z.string().min(1).max(512),
    org: z.string().max(256).optional(),
    ...itemFields,
  }),
  z.strictObject({
    kind: z.literal('long-poll'),
    /** Absent: the profile's own upstream and path. */
    url: urlSchema.optional(),
    /** One reader each, with the headers that make the old API answer it. `${NAME}` is taken from the environment. */
    readers: z
      .array(z.strictObject({ org: orgSchema, headers: z.record(headerNameSchema, z.string()).default({}) }))
      .min(1)
      .max(1000),
    /** Where the items are in an answer, and where the next cursor. */
    items: pathSchema,
    next: pathSchema.optional(),
    /** Instead of `next`: a header that brings it. */
    nextHeader: headerNameSchema.optional(),
    ...itemFields,
  }),
]);

const shadowSchema = z.strictObject({
  /** Of the requests that are passed through, 0 to 100. */
  percent: z.number().min(0).max(100),
  /** How long an event may be missing from the log before it counts as missing, seconds. */
  withinSeconds: z.number().min(0).max(60).default(5),
  /** Places in an event that may differ: `$.at`. */
  ignore: z.array(pathSchema).max(50).default([]),
});

export const profileSchema = z.strictObject({
  name: nameSchema,
  match: z.strictObject({ method: z.enum(['GET', 'POST']).default('GET'), path: routeSchema }),
  upstream: urlSchema,
  /** Other paths of the old API that come here and only pass through. */
  passthrough: z.array(routeSchema).max(100).default([]),
  auth: authSchema.optional(),
  request: requestSchema,
  response: responseSchema,
  source: sourceSchema.optional(),
  shadow: shadowSchema.optional(),
});

export type Profile = z.infer<typeof profileSchema>;
export type ProfileSource = z.infer<typeof sourceSchema>;
export type ProfileAuth = z.infer<typeof authSchema>;
