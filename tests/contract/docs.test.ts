/** The documents that newcomers read are true: generated ones are current, links lead somewhere. */
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configurationPage } from '../../docs/generate.ts';
import { settings } from '../../src/config/config.ts';
import { root } from '../support/sources.ts';

const written = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.md'))
  .map((path) => join('docs', path))
  .concat('README.md', 'CHANGELOG.md');

/** @returns what Markdown's links and images point at, without addresses of other sites. */
function linksOf(text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((found) => found[1] ?? '');
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}

/** The anchor that a heading gets: lower case, spaces to hyphens, punctuation dropped. */
function anchorsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => /^#{1,6} /.test(line))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
}

describe('docs/CONFIGURATION.md', () => {
  it('is what `npm run docs` writes', async () => {
    expect(await readFile(join(root, 'docs/CONFIGURATION.md'), 'utf8')).toBe(configurationPage());
  });

  it('says of every setting what it is for and what it takes', () => {
    const silent = settings.filter((one) => one.description === '' || one.takes === '');
    expect(silent.map((one) => one.name)).toEqual([]);
  });
});

describe('links', () => {
  it.each(written)('of %s lead to files and headings that exist', async (path) => {
    const text = await readFile(join(root, path), 'utf8');
    const broken: string[] = [];
    for (const link of linksOf(text)) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? join(root, path) : join(root, dirname(path), file);
      if (!existsSync(target)) broken.push(link);
      else if (anchor !== undefined && !anchorsOf(await readFile(target, 'utf8')).includes(anchor))
        broken.push(link);
    }
    expect(broken).toEqual([]);
  });
});
