/** The admin API, `/admin/v1` (docs/PROTOCOL.md, 12): reads the rollout, changes it, and keeps who did and why. */
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import {
  adminLimits,
  auditBodySchema,
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
import { orgSchema, userSchema } from '../../schema/envelope.ts';
import { fail } from '../errors.ts';
import type { Rollout } from '../rollout/rollout.ts';
import {
  type Author,
  pause,
  resume,
  setEnabled,
  setFlag,
  setList,
  setPercent,
} from '../rollout/rules/transitions.ts';
import { type AdminAccess, type AdminEnv, type AdminRole, requiring } from './admin-access.ts';
import { describe, ofUser, reads, taking, writes } from './admin-description.ts';
import { rolloutView, sessionsView, shadowView } from './admin-views.ts';
import { bodyRefusals } from './described.ts';
import type { FleetQuestion } from './fleet-questions.ts';
import { atMost, readJson } from './json-body.ts';

export interface AdminDeps extends AdminAccess {
  readonly rollout: Rollout;
  /** Begins to drain this node; answers at once. */
  readonly drain: () => void;
}

const bodyBytes = 4 * 1024 * 1024;
/** The cause that this API's pause stands for among others that may come. */
const operatorPause = 'operator';

export function adminRoutes(deps: AdminDeps): Hono<AdminEnv> {
  const { rollout } = deps;
  const { control, store, fleet } = rollout;
  const app = new Hono<AdminEnv>().basePath('/admin/v1');
  const may = (role: AdminRole) => requiring(role, deps);
  const small = atMost(bodyBytes);

  app.get('/rollout', reads('The rollout as it stands', rolloutBodySchema), may('viewer'), async (c) => {
    const view = await rolloutView(rollout);
    c.header('etag', `"${view.version}"`);
    return c.json(view);
  });

  app.put(
    '/rollout/percent',
    writes('Set the percentage', percentBodySchema),
    may('operator'),
    small,
    async (c) => {
      const { percent, reason } = await readJson(c, percentBodySchema);
      return c.json(await control.change(setPercent(percent), by(c, reason), ifMatch(c)));
    },
  );

  app.put(
    '/rollout/enabled',
    writes('Turn the flag on or off', enabledBodySchema),
    may('operator'),
    small,
    async (c) => {
      const { enabled, reason } = await readJson(c, enabledBodySchema);
      return c.json(await control.change(setEnabled(enabled), by(c, reason), ifMatch(c)));
    },
  );

  app.put(
    '/rollout/flags/:name',
    writes('Change another flag', flagBodySchema, 'not_found'),
    may('operator'),
    small,
    async (c) => {
      const { reason, ...change } = await readJson(c, flagBodySchema);
      const transition = setFlag(c.req.param('name'), change, rollout.toggles);
      return c.json(await control.change(transition, by(c, reason), ifMatch(c)));
    },
  );

  for (const list of ['allowlist', 'denylist'] as const)
    app.put(
      `/rollout/${list}`,
      writes(`Replace the ${list}`, listBodySchema),
      may('admin'),
      small,
      async (c) => {
        const { users, reason } = await readJson(c, listBodySchema);
        return c.json(await control.change(setList(list, users), by(c, reason), ifMatch(c)));
      },
    );

  app.post(
    '/rollout/kill',
    describe('Kill: everybody to long-poll, now', changeAnswerSchema, bodyRefusals, taking(reasonBodySchema)),
    may('operator'),
    small,
    async (c) => {
      const { reason } = await readJson(c, reasonBodySchema);
      return c.json(await control.kill(by(c, reason)));
    },
  );

  app.post(
    '/rollout/unkill',
    writes('End every kill', reasonBodySchema, 'kill_file_present'),
    may('operator'),
    small,
    async (c) => {
      const { reason } = await readJson(c, reasonBodySchema);
      return c.json(await control.unkill(by(c, reason), ifMatch(c)));
    },
  );

  for (const [verb, transition] of [
    ['pause', pause],
    ['resume', resume],
  ] as const)
    app.post(
      `/rollout/${verb}`,
      writes(`${verb === 'pause' ? 'Hold' : 'Go on with'} moves`, reasonBodySchema),
      may('operator'),
      small,
      async (c) => {
        const { reason } = await readJson(c, reasonBodySchema);
        return c.json(await control.change(transition(operatorPause), by(c, reason), ifMatch(c)));
      },
    );

  app.post(
    '/nodes/:id/drain',
    describe(
      'Drain one node',
      drainAnswerSchema,
      [...bodyRefusals, 'not_found', 'log_unavailable'],
      taking(reasonBodySchema),
    ),
    may('operator'),
    small,
    async (c) => {
      const { reason } = await readJson(c, reasonBodySchema);
      const node = c.req.param('id');
      const { acks } = await store.acknowledged(0, 0);
      if (!Object.hasOwn(acks, node)) throw fail('not_found', 'there is no node of this id');
      // A trail that can't be written, which the store has logged, must not keep a node from being drained.
      const note = store.note({ ...by(c, reason), action: 'drain', from: null, to: node });
      await note.catch(() => undefined);
      if (node === rollout.nodeId) deps.drain();
      else {
        const { answers } = await fleet.ask({ kind: 'drain', node } satisfies FleetQuestion);
        if (!answers.has(node)) throw fail('log_unavailable', 'the node did not answer');
      }
      return c.json({ node, draining: true });
    },
  );

  app.get(
    '/decisions/:org/:user',
    reads('What a user gets, and why', decisionBodySchema, 'bad_request'),
    may('viewer'),
    (c) => {
      const org = checked(orgSchema, c.req.param('org'), 'org');
      const user = checked(userSchema, c.req.param('user'), 'user');
      const { assignment, ...decision } = rollout.decider.decide({ org, sub: user });
      const answer: DecisionBody = { org, user, ...decision, version: assignment };
      return c.json(answer);
    },
  );

  app.get(
    '/sessions',
    describe('Who is connected', sessionsBodySchema, ['bad_request'], { parameters: ofUser }),
    may('viewer'),
    async (c) => {
      const { org, user } = c.req.query();
      return c.json(
        await sessionsView(fleet, {
          ...(org !== undefined && { org: checked(orgSchema, org, 'org') }),
          ...(user !== undefined && { user: checked(userSchema, user, 'user') }),
        }),
      );
    },
  );

  app.get('/legacy/shadow', reads('What the shadows found', shadowBodySchema), may('viewer'), async (c) =>
    c.json(await shadowView(fleet)),
  );

  app.get('/audit', reads('Every change, newest first', auditBodySchema), may('viewer'), async (c) =>
    c.json({ entries: await store.audit(adminLimits.auditEntries) }),
  );

  return app;
}

const by = (c: Context<AdminEnv>, reason: string): Author => ({ who: c.get('who'), reason });

/** The version that the caller saw: `If-Match: "19"`; undefined when it didn't say, or said any. */
function ifMatch(c: Context): number | undefined {
  const header = c.req.header('if-match')?.trim();
  if (header === undefined || header === '*') return undefined;
  const version = /^(?:W\/)?"?(\d{1,15})"?$/.exec(header)?.[1];
  if (version === undefined) throw fail('bad_request', 'If-Match is not a version of the rules');
  return Number(version);
}

function checked(schema: z.ZodString, value: string, name: string): string {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw fail('bad_request', `${name} is malformed`);
  return parsed.data;
}
