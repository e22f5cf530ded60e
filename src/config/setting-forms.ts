/** The forms of settings' values, each with its words for docs/CONFIGURATION.md. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseRedisUrl } from '../redis/url.ts';

// `takes` describes the value in docs/CONFIGURATION.md.
export const text = z.string().trim().meta({ takes: 'text' });
/** Made absolute: one process's path may be shown to somebody in another folder. */
export const path = text.transform((value) => resolve(value)).meta({ takes: 'path' });
export const int = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  text
    .regex(/^-?\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .meta({ takes: max === Number.MAX_SAFE_INTEGER ? `whole, from ${min}` : `whole, ${min} to ${max}` });
/** config.ts checks the length: a short secret gets a warning on loopback, elsewhere it is refused. */
export const secret = text.meta({ takes: 'text; off loopback 16 characters or more' });
export const flag = text
  .pipe(
    z.stringbool({
      truthy: ['true', '1', 'on', 'yes'],
      falsy: ['false', '0', 'off', 'no'],
      error: 'must be true or false',
    }),
  )
  .meta({ takes: '`true` or `false`' });
export const list = text
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )
  .meta({ takes: 'list, separated by commas' });
export const percent = text
  .regex(/^\d{1,3}(\.\d{1,2})?$/, 'must be a percentage with at most two decimals')
  .transform(Number)
  .pipe(z.number().min(0).max(100))
  .meta({ takes: '0 to 100, at most two decimals' });
/** A percentage, or `true` for all users and `false` for none: the setting of one flag. */
export const share = z
  .preprocess((value) => {
    const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
    if (word === 'true' || word === 'on') return '100';
    return word === 'false' || word === 'off' ? '0' : value;
  }, percent.optional())
  .meta({ takes: '`true`, `false`, or 0 to 100' });
/** `https://app.example.com`: a scheme and a host, and nothing behind them. */
export function isOrigin(origin: string): boolean {
  return URL.canParse(origin) && new URL(origin).origin.toLowerCase() === origin.toLowerCase();
}

function isPlainHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/** `10.0.0.0/8`, `::1`. */
export function isAddressOrRange(proxy: string): boolean {
  const [address = '', bits, ...more] = proxy.split('/');
  const most = { 4: 32, 6: 128 }[isIP(address)] ?? -1;
  const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  return more.length === 0 && most > 0 && isRange;
}
/** @param read throws an Error whose message names no part of the value, which may hold a secret */
export const readableBy = (read: (value: string) => unknown) =>
  text.superRefine((value, context) => {
    try {
      read(value);
    } catch (error) {
      context.addIssue(error instanceof Error ? error.message : 'cannot be read');
    }
  });
export const redisUrl = readableBy(parseRedisUrl);
export const url = text.refine((value) => URL.canParse(value), 'must be a URL').meta({ takes: 'URL' });
export const httpUrl = text
  .refine(isPlainHttpUrl, 'must be an http or https URL, without user and password')
  .meta({ takes: '`http://` or `https://` URL' });
/** `sub`, `user.id`, or a claim that is named by a URL. */
export const place = text
  .regex(/^\S{1,256}$/, 'must be the name of a claim or field, or a dotted path to one')
  .meta({ takes: 'name or dotted path' });
