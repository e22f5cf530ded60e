/** What the documents say of other places holds: links lead somewhere, and example profiles are profiles. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkProfile } from '../../src/legacy/profile/problems.ts';

const documents = [
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const withoutFences = (text: string): string => text.replaceAll(/^```[^]*?^```$/gm, '');

/** As GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...withoutFences(text).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

it.each(documents)('%s links to what is there', (document) => {
  const text = readFileSync(document, 'utf8');
  const links = [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  const broken = links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? document : join(dirname(document), path);
    if (!existsSync(file)) return true;
    return anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).includes(anchor);
  });
  expect(broken).toEqual([]);
});

it('docs/ARCHITECTURE.md names files that are there', () => {
  const text = readFileSync('docs/ARCHITECTURE.md', 'utf8');
  const named = [...text.matchAll(/`([a-z-]+(?:\/[a-z0-9-]+)+\.(?:ts|lua|md|json))`/g)].map(
    ([, path = '']) => path,
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((path) => !existsSync(path) && !existsSync(join('src', path)))).toEqual([]);
});

it('SECURITY.md names controls and tests that are there, and every file of tests/security and tests/correctness', () => {
  const text = readFileSync('SECURITY.md', 'utf8');
  const named = [...text.matchAll(/`((?:src|tests)\/[^`]+\.(?:ts|lua))`/g)].map(([, path = '']) => path);
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
  const tests = ['security', 'correctness'].flatMap((folder) =>
    readdirSync(join('tests', folder)).map((name) => `tests/${folder}/${name}`),
  );
  expect(tests.filter((path) => !named.includes(path))).toEqual([]);
});

describe("the migration guide's example profiles", () => {
  const text = readFileSync('docs/STREAMING_MIGRATION.md', 'utf8');
  const examples = [...text.matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, yaml = '']) => yaml);

  it('are two besides the one that its commands write', () => {
    expect(examples.length).toBe(2);
  });

  it.each(examples)('%s', (yaml) => {
    const { problems } = checkProfile(parse(yaml.replaceAll(/\$\{\w+\}/g, 'a credential')));
    expect(problems).toEqual([]);
  });
});
