/** The gateway as a bench runs it, with the tokens of its users and of the backend that publishes. */
import { SignJWT } from 'jose';
import { profileFlags, ServerProcess } from './server-process.ts';

const secret = 'a-secret-of-the-benches-and-of-nobody-else';

/** Everybody is on WebSocket; a stream or a poll is whatever the bench opens. */
export function startGateway(env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  return ServerProcess.start({
    entry: 'src/main',
    env: {
      TURNOUT_PORT: '0',
      TURNOUT_JWT_SECRET: secret,
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '100',
      ...env,
    },
    nodeFlags: profileFlags,
  });
}

function sign(claims: Readonly<Record<string, unknown>>): Promise<string> {
  const key = new TextEncoder().encode(secret);
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('2h').sign(key);
}

export const userToken = (org: string, sub: string): Promise<string> => sign({ org, sub });

export const producerToken = (): Promise<string> =>
  sign({ org: 'bench', sub: 'backend', roles: ['producer'], orgs: ['*'] });

export const streamPath = (token: string): string => `/v2/realtime/stream?access_token=${token}`;

export const firstFrame = (services: readonly string[]): string => JSON.stringify({ services, version: 1 });
