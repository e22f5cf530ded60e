/** Who may import whom: the dependency rule of docs/ARCHITECTURE.md, checked for every source file. */
import { basename, dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSource, readSources, type SourceFile } from '../support/sources.ts';
import { importTable, objection, roomOf, soleGlobals, soleUsers } from './import-table.ts';

const sources = await readSources(['src', 'schema', 'clients', 'loadtest']);

/** @returns the first cycle found, as the paths along it, or none. */
function findCycle(files: readonly SourceFile[]): readonly string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const finished = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): readonly string[] => {
    if (finished.has(path)) return [];
    const at = trail.indexOf(path);
    if (at >= 0) return [...trail.slice(at), path];
    trail.push(path);
    for (const next of byPath.get(path)?.files ?? []) {
      const cycle = visit(next);
      if (cycle.length > 0) return cycle;
    }
    trail.pop();
    finished.add(path);
    return [];
  };
  for (const { path } of files) {
    const cycle = visit(path);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** The folders right below `parent` as if each were one file. Files loose in `parent` belong to none. */
function roomsOf(parent: string): readonly SourceFile[] {
  const roomOfFile = (path: string): string[] => {
    const below = parent === '.' ? path : path.startsWith(`${parent}/`) ? path.slice(parent.length + 1) : '';
    const [folder = '', ...rest] = below.split('/');
    return rest.length > 0 ? [folder] : [];
  };
  const edges = new Map<string, Set<string>>();
  for (const file of sources)
    for (const folder of roomOfFile(file.path)) {
      const targets = edges.get(folder) ?? new Set();
      edges.set(folder, targets);
      for (const target of file.files.flatMap(roomOfFile)) if (target !== folder) targets.add(target);
    }
  return [...edges].map(([path, targets]) => fileThatImports(path, ...targets));
}

const fileThatImports = (path: string, ...files: string[]): SourceFile => ({
  path,
  files,
  packages: [],
  globals: [],
});

describe('imports', () => {
  it('finds the sources', () => {
    expect(sources.map((file) => file.path)).toEqual(
      expect.arrayContaining(['src/config/config.ts', 'schema/codes.ts']),
    );
  });

  it('gives every file a room', () => {
    expect(sources.filter((file) => roomOf(file.path) === undefined).map((file) => file.path)).toEqual([]);
  });

  it('keeps to the table', () => {
    const objections = sources.flatMap((file) => file.files.map((target) => objection(file.path, target)));
    expect(objections.filter((line) => line !== undefined)).toEqual([]);
  });

  it('has no cycles, types included', () => {
    expect(findCycle(sources)).toEqual([]);
  });

  it('has no cycles between the rooms of a folder', () => {
    const parents = new Set(Object.keys(importTable).map((room) => dirname(room)));
    for (const parent of parents) expect(findCycle(roomsOf(parent)), parent).toEqual([]);
  });

  it('lets schema import only zod', () => {
    // The generator writes files; nothing imports it.
    const others = sources.filter(
      (file) => file.path.startsWith('schema/') && file.path !== 'schema/generate.ts',
    );
    expect(others.filter((file) => file.packages.some((name) => name !== 'zod'))).toEqual([]);
    expect(sources.filter((file) => file.files.includes('schema/generate.ts'))).toEqual([]);
  });

  it.each(Object.entries(soleUsers))('leaves %s to those whose job it is', (name, allowed) => {
    const users = sources.filter((file) => file.packages.includes(name)).map((file) => file.path);
    expect(users.filter((path) => !allowed.test(path))).toEqual([]);
    expect(users.filter((path) => path.startsWith('src/')).length).toBeLessThanOrEqual(6);
  });

  it.each(Object.entries(soleGlobals))('leaves %s to one file', (name, owner) => {
    const users = sources.filter((file) => file.path.startsWith('src/') && file.globals.includes(name));
    expect(users.map((file) => file.path).filter((path) => path !== owner)).toEqual([]);
  });

  it('names no file for being a heap of things', () => {
    const vague = /^(.*-)?(util|utils|helper|helpers|manager|managers|service|services|misc|common)\.tsx?$/;
    expect(sources.map((file) => file.path).filter((path) => vague.test(basename(path)))).toEqual([]);
  });

  it('names files in kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.tsx?$/;
    expect(sources.map((file) => file.path).filter((path) => !kebab.test(basename(path)))).toEqual([]);
  });
});

describe('the check itself', () => {
  it('sees every way to import, types too, and no comment', () => {
    const text = `
      import { a } from './a.ts';
      import type { B } from '../log/b.ts';
      export * from './c.ts';
      export type { D } from './d.ts';
      type E = import('./e.ts').E;
      const ws = await import('ws');
      // import 'ioredis'; Date.now()
      const time = [new Date(), new Date(0), process['env'], Math.random];`;
    expect(parseSource('src/hub/x.ts', text)).toEqual({
      path: 'src/hub/x.ts',
      files: ['src/hub/a.ts', 'src/log/b.ts', 'src/hub/c.ts', 'src/hub/d.ts', 'src/hub/e.ts'],
      packages: ['ws'],
      globals: ['new Date()', 'process.env', 'Math.random'],
    });
  });

  it('objects to the imports that matter most', () => {
    expect(objection('src/rollout/moves/mover.ts', 'src/hub/sessions.ts')).toMatch(/may not import/);
    expect(objection('src/transports/websocket.ts', 'src/rollout/rules/rules.ts')).toMatch(/may not import/);
    expect(objection('src/hub/feed.ts', 'src/log/memory-log.ts')).toMatch(/may not import/);
    expect(objection('src/legacy/serve/serve.ts', 'src/http/app.ts')).toMatch(/may not import/);
    expect(objection('loadtest/swarm.ts', 'src/clock.ts')).toMatch(/may not import/);
    expect(objection('schema/codes.ts', 'src/errors.ts')).toMatch(/may not import/);
    expect(objection('attic/x.ts', 'src/errors.ts')).toMatch(/no room/);
    expect(objection('src/http/app.ts', 'src/transports/long-poll.ts')).toBeUndefined();
    expect(objection('src/hub/feed.ts', 'src/log/event-log.ts')).toBeUndefined();
  });

  it('finds a cycle', () => {
    expect(
      findCycle([fileThatImports('a', 'b'), fileThatImports('b', 'c'), fileThatImports('c', 'b')]),
    ).toEqual(['b', 'c', 'b']);
  });
});
