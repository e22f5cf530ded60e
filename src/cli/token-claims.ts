/** Makes tokens for tests and backends, and reads any without verifying it. Never needs a network. */
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { z } from 'zod';
import { type Claims, claimsSchema } from '../../schema/token.ts';
import { CommandError } from './exits.ts';
import { sinceText } from './spans.ts';

/** What signs, by the gateway's own settings: a token without its `iss` and `aud` would be refused there. */
export interface Signing {
  readonly secret: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: readonly string[] | undefined;
}

/** @throws CommandError `usage` where the gateway would not take such a token */
export async function mintToken(
  { secret, issuer, audience }: Signing,
  wanted: Claims,
): Promise<{ token: string; claims: Claims }> {
  if (secret === undefined)
    throw new CommandError('usage', 'TURNOUT_JWT_SECRET is not set: nothing to sign with', {
      hint: "give it the gateway's secret; a demo (npm start) prints tokens of its own",
    });
  const parsed = claimsSchema.safeParse(wanted);
  if (!parsed.success) throw new CommandError('usage', z.prettifyError(parsed.error).replaceAll('\n', ' '));
  const claims = {
    ...parsed.data,
    ...(issuer !== undefined && { iss: issuer }),
    ...(audience !== undefined && { aud: [...audience] }),
  };
  const token = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
  return { token, claims };
}

export interface InspectedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Why the gateway would refuse it, its signature apart. */
  readonly problems: readonly string[];
}

/** @throws CommandError `usage` where the text is no JWT. Its signature is not looked at. */
export function inspectToken(token: string, nowMs: number): InspectedToken {
  let header: Record<string, unknown>;
  let claims: Record<string, unknown>;
  try {
    header = { ...decodeProtectedHeader(token) };
    claims = { ...decodeJwt(token) };
  } catch (thrown) {
    throw new CommandError('usage', 'this is no JWT: three base64url parts with dots between', {
      cause: thrown,
    });
  }
  const parsed = claimsSchema.safeParse(claims);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  const expiresMs = parsed.success ? parsed.data.exp * 1000 : undefined;
  if (expiresMs !== undefined && expiresMs <= nowMs)
    problems.push(`expired ${sinceText(isoTime(expiresMs), nowMs)}`);
  const alg = header['alg'];
  if (typeof alg !== 'string' || !['HS256', 'RS256', 'ES256', 'EdDSA'].includes(alg))
    problems.push('alg: is none of HS256, RS256, ES256, EdDSA');
  return { header, claims, problems };
}

export function inspectedLines({ header, claims, problems }: InspectedToken, nowMs: number): string[] {
  const { exp } = claims;
  const expires =
    typeof exp === 'number' && Number.isSafeInteger(exp * 1000) ? isoTime(exp * 1000) : undefined;
  return [
    `alg       ${String(header['alg'])}`,
    ...Object.entries(claims)
      .filter(([name]) => name !== 'exp')
      .map(
        ([name, value]) => `${name.padEnd(10)}${typeof value === 'string' ? value : JSON.stringify(value)}`,
      ),
    `exp       ${expires === undefined ? String(exp) : sinceText(expires, nowMs)}`,
    ...(claims['services'] === undefined ? ['services  (all)'] : []),
    ...(claims['publish'] === undefined ? ['publish   (none)'] : []),
    'signature not verified',
    ...problems.map((problem) => `PROBLEM   ${problem}`),
  ];
}

/** Far-off expiries are shown, not thrown over. */
function isoTime(ms: number): string {
  const date = new Date(Math.min(ms, 8.64e15));
  return date.toISOString();
}
