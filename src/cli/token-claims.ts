/** Makes tokens for tests and backends, and reads any without verifying it. Never needs a network. */
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { z } from 'zod';
import { type Claims, claimsSchema } from '../../schema/token.ts';
import { CommandError } from './exits.ts';
import { sinceText } from './spans.ts';

/** What signs, by the gateway's own settings: a token without its `iss` and `aud` would be refused there. */
interface Signing {
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

type InspectedToken = ReturnType<typeof inspectToken>;

/**
 * Its signature is not looked at.
 * @returns `problems`: why the gateway would refuse it, its signature apart
 * @throws CommandError `usage` where the text is no JWT
 */
export function inspectToken(token: string, nowMs: number) {
  const { header, claims } = decoded(token);
  const { data, error } = claimsSchema.safeParse(claims);
  const problems = error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
  if (data !== undefined && data.exp * 1000 <= nowMs)
    problems.push(`expired ${sinceText(isoTime(data.exp * 1000), nowMs)}`);
  const { alg } = header;
  if (alg === undefined || !['HS256', 'RS256', 'ES256', 'EdDSA'].includes(alg))
    problems.push('alg: is none of HS256, RS256, ES256, EdDSA');
  return { header, claims, problems };
}

function decoded(token: string) {
  try {
    return { header: { ...decodeProtectedHeader(token) }, claims: { ...decodeJwt(token) } };
  } catch (cause) {
    throw new CommandError('usage', 'this is no JWT: three base64url parts with dots between', { cause });
  }
}

export function inspectedLines({ header, claims, problems }: InspectedToken, nowMs: number): string[] {
  const { exp, ...others } = claims;
  const isTime = typeof exp === 'number' && Number.isSafeInteger(exp * 1000);
  const row = (name: string, value: unknown): string =>
    `${name.padEnd(10)}${typeof value === 'string' ? value : JSON.stringify(value)}`;
  return [
    row('alg', String(header['alg'])),
    ...Object.entries(others).map(([name, value]) => row(name, value)),
    row('exp', isTime ? sinceText(isoTime(exp * 1000), nowMs) : String(exp)),
    ...(claims['services'] === undefined ? ['services  (all)'] : []),
    ...(claims['publish'] === undefined ? ['publish   (none)'] : []),
    'signature not verified',
    ...problems.map((problem) => `PROBLEM   ${problem}`),
  ];
}

/** Far-off expiries are shown, not thrown over. */
const isoTime = (ms: number): string => new Date(Math.min(ms, 8.64e15)).toISOString();
