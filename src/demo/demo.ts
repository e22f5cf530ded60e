/**
 * What `npm start` shows with nothing configured: the demo's settings, the tokens of its users, and the commands to paste.
 * Only the gateway knows of it.
 */
import { SignJWT } from 'jose';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { type Identity, userIdentity } from '../auth/identity.ts';

export const demoOrg = 'demo';
const demoUser = 'ada';
const tokenDays = 7;

/** In the demo the flag is on, at 0 % and for its user alone, and streams reconnect, unless the environment says otherwise. */
export function demoConfig(config: Config): Config {
  const isUnset = config.REALTIME_STREAMING_V2 === undefined && config.REALTIME_ROLLOUT_PERCENT === undefined;
  const whitelist = new Set([...(config.REALTIME_WHITELIST ?? []), demoUser]);
  return {
    ...config,
    // No explicit 0 %: that would hold the node at long-poll, whatever the page's slider says.
    ...(isUnset ? { REALTIME_STREAMING_V2: true } : {}),
    WS_AUTORECONNECT: config.WS_AUTORECONNECT ?? 100,
    REALTIME_WHITELIST: [...whitelist],
  };
}

/** Returns a function that signs claims, for a week. @param secret the HS256 secret that the gateway verifies with */
export function tokenSigner(secret: string, clock: Clock): (claims: TokenClaims) => Promise<string> {
  const key = new TextEncoder().encode(secret);
  return (claims) =>
    new SignJWT({ org: demoOrg, ...claims })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(clock.now() / 1000) + tokenDays * 86_400)
      .sign(key);
}

type TokenClaims = { readonly sub: string } & Readonly<Record<string, unknown>>;

/** @param secret the HS256 secret that the gateway verifies with. */
export async function demoTokens(secret: string, clock: Clock): Promise<Record<DemoToken, string>> {
  const sign = tokenSigner(secret, clock);
  return {
    TOKEN: await sign({ sub: demoUser, publish: ['chat', 'chat/*', 'uploads'] }),
    PRODUCER_TOKEN: await sign({ sub: 'demo-backend', roles: ['producer'], orgs: ['*'] }),
    ADMIN_TOKEN: await sign({ sub: 'demo-sre', roles: ['admin'] }),
  };
}

export type DemoToken = 'TOKEN' | 'PRODUCER_TOKEN' | 'ADMIN_TOKEN';

/** The lines to paste, in the order to paste them. @param hasPage the node serves the demo's page too */
export function demoLines(url: string, tokens: Record<DemoToken, string>, hasPage: boolean): string[] {
  const stream = `${url.replace(/^http/, 'ws')}/v2/realtime/stream`;
  const first = JSON.stringify({ services: ['finance', 'guest', 'staff'], version: 1 });
  return [
    `export TOKEN=${tokens.TOKEN}`,
    `export PRODUCER_TOKEN=${tokens.PRODUCER_TOKEN}`,
    `export ADMIN_TOKEN=${tokens.ADMIN_TOKEN}`,
    '',
    ...(hasPage ? [`# watch users move: open ${url} in a browser`, ''] : []),
    '# 1. read by long-poll',
    `curl -s "${url}/v1/realtime/poll?services=finance,guest,staff&cursor=earliest&wait=5" -H "Authorization: Bearer $TOKEN"`,
    '# 2. read by WebSocket, in another terminal',
    `npx wscat -c "${stream}?access_token=$TOKEN" -x '${first}' -w 3600`,
    '# 3. publish, and see it arrive in both',
    `curl -s -X POST ${url}/v1/publish -H "Authorization: Bearer $PRODUCER_TOKEN" -H "Content-Type: application/json" ` +
      `-d '{"service":"finance","type":"revenue","payload":{"amount":1200}}'`,
  ];
}

/** Returns the identity under which the sample backend publishes. */
export const demoBackendIdentity = (org: string): Identity =>
  userIdentity({
    org,
    sub: 'demo-backend',
    expiresAtMs: Number.MAX_SAFE_INTEGER,
    services: [],
    roles: ['producer'],
  });
