/** The generated JSON Schemas are committed as generated, and what is frozen stays as it was locked. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  checkLock,
  generateSchemas,
  isFrozen,
  readLock,
  sha256,
  writeSchemas,
} from '../../schema/generate.ts';

const folder = fileURLToPath(new URL('../../schema', import.meta.url));
const generated = generateSchemas();

describe('generated schemas', () => {
  it.each([...generated.keys()])('commits schema/%s as the zod sources generate it', async (path) => {
    const committed = await readFile(join(folder, path), 'utf8').catch(() => '(missing)');
    expect(committed, `schema/${path} has drifted: run \`npm run schema\` and commit it`).toBe(
      generated.get(path),
    );
  });

  it('commits no schema that nothing generates', async () => {
    const entries = await readdir(folder, { recursive: true });
    const known = new Set([...generated.keys(), 'lock.json', 'openapi.json', 'asyncapi.json']);
    expect(entries.filter((entry) => entry.endsWith('.json') && !known.has(entry))).toEqual([]);
  });
});

describe('frozen contracts', () => {
  it('keeps each frozen file as its hash in the lock says', async () => {
    const lock = await readLock(folder);
    const { problems, added } = checkLock(generated, lock);
    expect(problems).toEqual([]);
    expect(added, 'a frozen file without its hash: run `npm run schema` and commit lock.json').toEqual({});
    for (const [path, hash] of Object.entries(lock))
      expect(sha256(await readFile(join(folder, path), 'utf8')), `schema/${path}`).toBe(hash);
  });

  it('locks the envelope and assistant_message of 1.0', async () => {
    expect(Object.keys(await readLock(folder))).toEqual(
      expect.arrayContaining(['ws/1.0/assistant_message.schema.json', 'ws/1.0/envelope.schema.json']),
    );
    expect(isFrozen('generated/poll.schema.json')).toBe(false);
  });

  it('says that a changed frozen file needs a new version', () => {
    const path = 'ws/1.0/envelope.schema.json';
    const { problems } = checkLock(new Map([[path, 'changed']]), { [path]: sha256('as it was') });
    expect(problems).toEqual([expect.stringMatching(/frozen.*new version/)]);
  });

  it('writes nothing when a frozen file would change', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'turnout-schema-'));
    try {
      await writeFile(join(scratch, 'lock.json'), JSON.stringify({ 'ws/1.0/envelope.schema.json': 'other' }));
      await expect(writeSchemas(scratch)).rejects.toThrow(/frozen/);
      expect(await readdir(scratch)).toEqual(['lock.json']);
    } finally {
      await rm(scratch, { recursive: true });
    }
  });
});
