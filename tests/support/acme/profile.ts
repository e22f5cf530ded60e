/** The company's profile with the addresses of a test's own company in it. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const template = readFileSync(fileURLToPath(new URL('acme.yaml', import.meta.url)), 'utf8');

export interface AcmeProfile {
  /** What a node needs to know of it. */
  readonly settings: { readonly TURNOUT_PROFILES: string; readonly ACME_REDIS_URL: string };
  remove(): Promise<void>;
}

/** @param shadow instead of none, as the profile writes it */
export async function writeAcmeProfile(
  acme: { url: string; redisUrl: string },
  shadow = '{ percent: 0 }',
): Promise<AcmeProfile> {
  const folder = await mkdtemp(join(tmpdir(), 'turnout-acme-'));
  const file = join(folder, 'acme.yaml');
  const text = template
    .replaceAll('http://acme.internal:3000', acme.url)
    .replace('shadow: { percent: 0 }', `shadow: ${shadow}`);
  await writeFile(file, text);
  return {
    settings: { TURNOUT_PROFILES: file, ACME_REDIS_URL: acme.redisUrl },
    remove: () => rm(folder, { recursive: true }),
  };
}
