/**
 * Writes the JSON Schemas (draft 2020-12) that are generated from the zod sources: `npm run schema`. What is frozen
 * (lock.json) is never overwritten with something else; a new version of it gets a new folder.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { codes, codeSchema, limits } from './codes.ts';
import { assistantMessageSchema, envelopeSchema, publishEventSchema } from './envelope.ts';
import { clientFrameSchema, firstFrameSchema, serverFrameSchema } from './frames.ts';
import {
  errorBodySchema,
  negotiateRequestSchema,
  negotiateResponseSchema,
  nodeMetricsSchema,
  pollBodySchema,
  pollQuerySchema,
  publishBatchSchema,
  publishItemSchema,
  publishResultSchema,
} from './http.ts';
import { profileSchema } from './profile.ts';
import { claimsSchema } from './token.ts';

const baseId = 'https://turnout.example/schema/';

interface Source {
  readonly schema: z.ZodType;
  readonly title: string;
  readonly description: string;
}

const sources: Readonly<Record<string, Source>> = {
  'ws/1.0/envelope.schema.json': {
    schema: envelopeSchema,
    title: 'Event envelope 1.0',
    description: 'One event as a client receives it. Unknown fields are kept and passed on.',
  },
  'ws/1.0/assistant_message.schema.json': {
    schema: assistantMessageSchema,
    title: 'assistant_message 1.0',
    description: 'An envelope whose payload carries what the assistant says and does.',
  },
  'generated/first-frame.schema.json': {
    schema: firstFrameSchema,
    title: 'First frame',
    description: 'What a client sends first, within 10 s: it starts the stream.',
  },
  'generated/client-frame.schema.json': {
    schema: clientFrameSchema,
    title: 'Client frame',
    description: 'Every later frame of a client.',
  },
  'generated/server-frame.schema.json': {
    schema: serverFrameSchema,
    title: 'Server frame',
    description: 'Every frame of the server. A client ignores fields that it does not know.',
  },
  'generated/profile.schema.json': {
    schema: profileSchema,
    title: 'Turnout profile',
    description: "Another API's dialect of a long poll, as one file (YAML or JSON).",
  },
  'generated/poll-query.schema.json': {
    schema: pollQuerySchema,
    title: 'Poll query',
    description: 'The query of GET /v1/realtime/poll, each value as its text.',
  },
  'generated/poll.schema.json': {
    schema: pollBodySchema,
    title: 'Poll answer',
    description: 'The body that answers GET /v1/realtime/poll.',
  },
  'generated/negotiate-request.schema.json': {
    schema: negotiateRequestSchema,
    title: 'Negotiate request',
    description: 'The body of POST /v2/realtime/negotiate; every field is optional.',
  },
  'generated/negotiate-response.schema.json': {
    schema: negotiateResponseSchema,
    title: 'Negotiate answer',
    description: 'Which transport the user is given, why, and how the client should behave.',
  },
  'generated/publish-event.schema.json': {
    schema: publishEventSchema,
    title: 'Event to publish',
    description: 'One event as a publisher sends it; seq, timestamp and sender are refused.',
  },
  'generated/publish-request.schema.json': {
    schema: z.union([publishBatchSchema, publishItemSchema]),
    title: 'Publish request',
    description: 'The body of POST /v1/publish: one event, or a batch of one org.',
  },
  'generated/publish-response.schema.json': {
    schema: publishResultSchema,
    title: 'Publish answer',
    description: 'Where each event stands in the log, in the order of the request.',
  },
  'generated/error.schema.json': {
    schema: errorBodySchema,
    title: 'Error answer',
    description: 'The body of every refused request. Read code and retry, never the message.',
  },
  'generated/code.schema.json': {
    schema: codeSchema,
    title: 'Error code',
    description: 'The codes of errors and closes; what each means is in codes.json.',
  },
  'generated/claims.schema.json': {
    schema: claimsSchema,
    title: 'Token claims',
    description: 'What a token must and may claim.',
  },
  'generated/node-metrics.schema.json': {
    schema: nodeMetricsSchema,
    title: 'Node metrics',
    description: "This node's totals: the body that answers GET /v2/realtime/metrics.",
  },
};

const asJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function describe(path: string, { schema, title, description }: Source): string {
  const generated = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io: 'input',
    override: ({ jsonSchema }) => {
      // zod's own pattern for a date may change from one release to the next; a frozen file must not change with it.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  });
  const { $schema, ...rest } = generated;
  return asJson({ $schema, $id: `${baseId}${path}`, title, description, ...rest });
}

/** Every generated file: its path below `schema/`, and its text. Pure. */
export function generateSchemas(): ReadonlyMap<string, string> {
  const files = new Map(Object.entries(sources).map(([path, source]) => [path, describe(path, source)]));
  files.set('generated/codes.json', asJson({ codes, limits }));
  return files;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Paths whose text is frozen once it stands in the lock. */
export const isFrozen = (path: string): boolean => /^(ws|agent\/[a-z_]+)\/\d+\.\d+\//.test(path);

const frozenAdvice =
  'This version of the contract is frozen: clients in the field rely on it. Undo the change, or make it in a new ' +
  'version (a schema of its own, in a folder such as ws/1.1) and leave this one as it is.';

const lockSchema = z.record(z.string(), z.string());

/**
 * Compares the frozen ones among `files` with the lock.
 * @returns one line for each that differs; what isn't in the lock yet is added to `added`
 */
export function checkLock(
  files: ReadonlyMap<string, string>,
  lock: Readonly<Record<string, string>>,
): { problems: string[]; added: Record<string, string> } {
  const problems: string[] = [];
  const added: Record<string, string> = {};
  for (const [path, text] of files) {
    if (!isFrozen(path)) continue;
    const locked = lock[path];
    if (locked === undefined) added[path] = sha256(text);
    else if (locked !== sha256(text)) problems.push(`schema/${path} is not what was locked. ${frozenAdvice}`);
  }
  for (const path of Object.keys(lock))
    if (!files.has(path)) problems.push(`schema/${path} is locked and no longer generated. ${frozenAdvice}`);
  return { problems, added };
}

export async function readLock(folder: string): Promise<Record<string, string>> {
  return lockSchema.parse(JSON.parse(await readFile(join(folder, 'lock.json'), 'utf8')));
}

/** Writes every file and locks new frozen ones. @throws before writing anything, where a frozen one would change. */
export async function writeSchemas(folder: string): Promise<void> {
  const files = generateSchemas();
  const lock = await readLock(folder);
  const { problems, added } = checkLock(files, lock);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  for (const [path, text] of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text);
  }
  const entries = Object.entries({ ...lock, ...added }).toSorted(([a], [b]) => (a < b ? -1 : 1));
  await writeFile(join(folder, 'lock.json'), asJson(Object.fromEntries(entries)));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await writeSchemas(dirname(fileURLToPath(import.meta.url)));
