/** The gateway under load: the one at `--target`, or one that is started for the run; and its tokens. */
import { SignJWT } from 'jose';
import { profileFlags, ServerProcess } from '../server-process.ts';

const ownSecret = 'a-secret-of-the-load-and-of-nobody-else';
const ownAdminToken = 'an-admin-token-of-the-load';

function targetOption(): string | undefined {
  const at = process.argv.indexOf('--target');
  return at < 0 ? undefined : process.argv[at + 1]?.replace(/\/$/, '');
}

const target = targetOption();
const secret = (target === undefined ? undefined : process.env['TURNOUT_JWT_SECRET']) ?? ownSecret;

export const adminToken =
  (target === undefined ? undefined : process.env['TURNOUT_ADMIN_TOKEN']) ?? ownAdminToken;

export interface Target {
  /** One for each node. */
  readonly urls: readonly string[];
  readonly isOurs: boolean;
  /** Of those that were started, in the order of `urls`. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** @param nodeEnvs what each node that is started runs with. */
export async function openTarget(...nodeEnvs: readonly Readonly<Record<string, string>>[]): Promise<Target> {
  if (target !== undefined) {
    await mustServe(target);
    return { urls: [target], isOurs: false, pids: [], stop: () => Promise.resolve() };
  }
  const started = (nodeEnvs.length === 0 ? [{}] : nodeEnvs).map((env) =>
    ServerProcess.start({
      entry: 'src/main',
      nodeFlags: profileFlags,
      ...(nodeEnvs.length > 1 && { isPinned: false }),
      env: {
        TURNOUT_PORT: '0',
        TURNOUT_JWT_SECRET: secret,
        TURNOUT_ADMIN_TOKEN: adminToken,
        REALTIME_STREAMING_V2: 'true',
        REALTIME_ROLLOUT_PERCENT: '100',
        WS_AUTORECONNECT: 'true',
        ...env,
      },
    }),
  );
  const nodes = await Promise.all(started);
  return {
    urls: nodes.map(({ url }) => url),
    isOurs: true,
    pids: nodes.map(({ pid }) => pid),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** @throws what to do about it, where nothing could come of the run. */
async function mustServe(url: string): Promise<void> {
  if (process.env['TURNOUT_JWT_SECRET'] === undefined)
    throw new Error(
      '--target needs TURNOUT_JWT_SECRET, the secret of its gateway: tokens are signed with it',
    );
  const health = await fetch(`${url}/healthz`).catch(() => undefined);
  if (health?.ok !== true) throw new Error(`no gateway answers at ${url}`);
  const headers = { authorization: `Bearer ${await userToken(orgName(0), 'first')}` };
  const { status } = await fetch(`${url}/v1/realtime/poll?services=finance&wait=0`, { headers });
  if (status === 401) throw new Error(`${url} refuses tokens that are signed with this TURNOUT_JWT_SECRET`);
}

/** @throws where the gateway would not let its users be moved: said before anything is measured. */
export async function mustObey(url: string): Promise<void> {
  const headers = { authorization: `Bearer ${adminToken}` };
  const { status } = await fetch(`${url}/admin/v1/rollout`, { headers });
  if (status === 401 || status === 403)
    throw new Error(`${url} refuses TURNOUT_ADMIN_TOKEN (${status}): without it nobody can be moved there`);
}

function sign(claims: Readonly<Record<string, unknown>>): Promise<string> {
  const key = new TextEncoder().encode(secret);
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('4h').sign(key);
}

export const userToken = (org: string, sub: string): Promise<string> => sign({ org, sub });

export const producerToken = (): Promise<string> =>
  sign({ org: 'load', sub: 'backend', roles: ['producer'], orgs: ['*'] });

/** A run's orgs have names of their own: a target keeps what an earlier run has published. */
const run = Date.now().toString(36);
export const orgName = (index: number): string => `load-${run}-${index}`;
