/**
 * The admin API, `/admin/v1` (docs/PROTOCOL.md, 12): reads the rollout, changes it, and keeps who did and why. A user's token
 * without a role is nobody here.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import type { z } from 'zod';
import {
  changeAnswerSchema,
  decisionBodySchema,
  type DecisionBody,
  drainAnswerSchema,
  enabledBodySchema,
  flagBodySchema,
  listBodySchema,
  percentBodySchema,
  reasonBodySchema,
  rolloutBodySchema,
  sessionsBodySchema,
  shadowBodySchema,
} from '../../schema/admin.ts';
import { auditBodySchema, auditQuerySchema } from '../../schema/audit.ts';
import type { Code } from '../../schema/codes.ts';
import { orgSchema, userSchema } from '../../schema/envelope.ts';
import { fail } from '../errors.ts';
import type { Rollout } from '../rollout/rollout.ts';
import type { Author } from '../rollout/rules/author.ts';
import {
  pause,
  resume,
  setEnabled,
  setFlag,
  setList,
  setPercent,
  type Transition,
} from '../rollout/rules/transitions.ts';
import { type AdminEnv, type AdminRole, type CallerDeps, requiring, withinRate } from './admin-callers.ts';
import { describe, ofPage, ofUser, reads, taking, writes } from './admin-description.ts';
import { type FleetQuestion, sessionsView, shadowView } from './admin-fleet.ts';
import { rolloutView } from './admin-view.ts';
import { bodyRefusals } from './described.ts';
import { atMost, readJson } from './json-body.ts';

interface AdminDeps extends CallerDeps {
  readonly rollout: Rollout;
  /** Begins to drain this node; answers at once. */
  readonly drain: () => void;
}

/** A list of users may be long (schema/admin.ts, `adminLimits`); any other body is a few fields and a reason. */
const [bodyBytes, listBytes] = [16 * 1024, 3 * 1024 * 1024];
/** The cause that this API's pause stands for among others that may come. */
const operatorPause = 'operator';

export function adminRoutes(deps: AdminDeps): Hono<AdminEnv> {
  const { rollout } = deps;
  const { control, store, fleet } = rollout;
  const app = new Hono<AdminEnv>().basePath('/admin/v1');
  const viewer = requiring('viewer', deps);

  /** A call that is kept with who made it and why. */
  const act = <Body extends { readonly reason: string }>(
    [method, path]: readonly ['PUT' | 'POST', string],
    role: AdminRole,
    description: MiddlewareHandler,
    schema: z.ZodType<Body>,
    run: (body: Body, by: Author, c: Context<AdminEnv>) => Promise<object>,
    { maxBytes = bodyBytes, isLimited = true } = {},
  ) => {
    const heeding = [requiring(role, deps), ...(isLimited ? [withinRate(deps)] : []), atMost(maxBytes)];
    return app.on(method, path, description, ...heeding, async (c) => {
      const body = await readJson(c, schema);
      return c.json(await run(body, { ...c.get('author'), reason: body.reason }, c));
    });
  };
  /** Changes of the rules that heed `If-Match`; an operator's unless the role is another. */
  const changing =
    (method: 'PUT' | 'POST') =>
    <Body extends { readonly reason: string }>(
      path: string,
      summary: string,
      schema: z.ZodType<Body>,
      transitionOf: (body: Body, name: string) => Transition,
      {
        role = 'operator',
        codes = [],
        maxBytes,
      }: { role?: AdminRole; codes?: readonly Code[]; maxBytes?: number } = {},
    ) =>
      act(
        [method, path],
        role,
        writes(summary, schema, ...codes),
        schema,
        (body, by, c) => control.change(transitionOf(body, c.req.param('name') ?? ''), by, ifMatch(c)),
        maxBytes === undefined ? {} : { maxBytes },
      );
  const [put, post] = [changing('PUT'), changing('POST')];

  app.get('/rollout', reads('The rollout as it stands', rolloutBodySchema), viewer, async (c) => {
    const view = await rolloutView(rollout);
    c.header('etag', `"${view.version}"`);
    return c.json(view);
  });

  put('/rollout/percent', 'Set the percentage', percentBodySchema, ({ percent }) => setPercent(percent));
  put('/rollout/enabled', 'Turn the flag on or off', enabledBodySchema, ({ enabled }) => setEnabled(enabled));
  put(
    '/rollout/flags/:name',
    'Change another flag',
    flagBodySchema,
    ({ percent, enabled }, name) => setFlag(name, { percent, enabled }, rollout.toggles),
    { codes: ['not_found'] },
  );
  for (const list of ['allowlist', 'denylist'] as const) {
    const listed = ({ users }: { users: readonly string[] }) => setList(list, users);
    put(`/rollout/${list}`, `Replace the ${list}`, listBodySchema, listed, {
      role: 'admin',
      maxBytes: listBytes,
    });
  }

  act(
    ['POST', '/rollout/kill'],
    'operator',
    describe('Kill: everybody to long-poll, now', changeAnswerSchema, bodyRefusals, taking(reasonBodySchema)),
    reasonBodySchema,
    (_, by) => control.kill(by),
    // Nothing may stand in the way of a kill.
    { isLimited: false },
  );

  act(
    ['POST', '/rollout/unkill'],
    'operator',
    writes('End every kill', reasonBodySchema, 'kill_file_present'),
    reasonBodySchema,
    (_, by, c) => control.unkill(by, ifMatch(c)),
  );

  post('/rollout/pause', 'Hold moves', reasonBodySchema, () => pause(operatorPause));
  post('/rollout/resume', 'Go on with moves', reasonBodySchema, () => resume(operatorPause));

  act(
    ['POST', '/nodes/:id/drain'],
    'operator',
    describe(
      'Drain one node',
      drainAnswerSchema,
      [...bodyRefusals, 'not_found', 'log_unavailable'],
      taking(reasonBodySchema),
    ),
    reasonBodySchema,
    async (_, by, c) => {
      const node = c.req.param('id') ?? '';
      const { acks } = await fleet.acknowledged(0, 0);
      if (!Object.hasOwn(acks, node)) throw fail('not_found', 'there is no node of this id');
      // A trail that can't be written, which the store has logged, must not keep a node from being drained.
      await store.note({ ...by, action: 'drain', from: null, to: node }).catch(() => undefined);
      if (node === rollout.nodeId) deps.drain();
      else {
        const { answers } = await fleet.ask({ kind: 'drain', node } satisfies FleetQuestion);
        if (!answers.has(node)) throw fail('log_unavailable', 'the node did not answer');
      }
      return { node, draining: true };
    },
  );

  app.get(
    '/decisions/:org/:user',
    reads('What a user gets, and why', decisionBodySchema, 'bad_request'),
    viewer,
    (c) => {
      const org = checked(orgSchema, c.req.param('org'), 'org');
      const user = checked(userSchema, c.req.param('user'), 'user');
      const { assignment, ...decision } = rollout.decider.decide({ org, sub: user });
      return c.json({ org, user, ...decision, version: assignment } satisfies DecisionBody);
    },
  );

  app.get(
    '/sessions',
    describe('Who is connected', sessionsBodySchema, ['bad_request'], { parameters: ofUser }),
    viewer,
    async (c) => {
      const { org, user } = c.req.query();
      const asked = {
        org: checked(orgSchema.optional(), org, 'org'),
        user: checked(userSchema.optional(), user, 'user'),
      };
      return c.json(await sessionsView(fleet, asked));
    },
  );

  app.get('/legacy/shadow', reads('What the shadows found', shadowBodySchema), viewer, async (c) =>
    c.json(await shadowView(fleet)),
  );

  app.get(
    '/audit',
    describe('Every change, newest first', auditBodySchema, ['bad_request', 'log_unavailable'], {
      parameters: ofPage,
    }),
    viewer,
    async (c) => {
      const { before, limit } = checked(auditQuerySchema, withoutEmpty(c.req.query()), 'before or limit');
      const entries = await store.audit(limit + 1, before);
      const shown = entries.slice(0, limit);
      return c.json({ entries: shown, next: entries.length > limit ? (shown.at(-1)?.id ?? null) : null });
    },
  );

  return app;
}

/** The version that the caller saw: `If-Match: "19"`; undefined when it didn't say, or said any. */
function ifMatch(c: Context): number | undefined {
  const header = c.req.header('if-match')?.trim();
  if (header === undefined || header === '*') return undefined;
  const version = /^(?:W\/)?"?(\d{1,15})"?$/.exec(header)?.[1];
  if (version === undefined) throw fail('bad_request', 'If-Match is not a version of the rules');
  return Number(version);
}

/** An empty query parameter is an absent one. */
const withoutEmpty = (query: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''));

function checked<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw fail('bad_request', `${name} is malformed`);
  return parsed.data;
}
