/** The project's own source files as data: what each imports (types too), and which globals of note it touches. */
import { readFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  /** Files of ours that it imports, from the root. */
  readonly files: readonly string[];
  /** Packages and `node:` modules that it imports, without their subpaths. */
  readonly packages: readonly string[];
  /** Which of `process.env`, `Date.now`, `new Date()`, `Math.random`, `setTimeout` and `setInterval` it names. */
  readonly globals: readonly string[];
}

const watchedMembers = new Set(['process.env', 'Date.now', 'Math.random']);
const watchedCalls = new Set(['setTimeout', 'setInterval']);

interface AstNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is AstNode =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

const nameOf = (value: unknown): string => {
  if (!isNode(value)) return '';
  if (value.type === 'Identifier') return String(value['name']);
  return value.type === 'Literal' ? String(value['value']) : '';
};

/** Calls `visit` for the node and everything below it. */
function walk(value: unknown, visit: (node: AstNode) => void): void {
  if (Array.isArray(value)) for (const item of value) walk(item, visit);
  if (!isNode(value)) return;
  visit(value);
  for (const child of Object.values(value)) if (typeof child === 'object') walk(child, visit);
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** @throws where the text is no TypeScript, or imports something that only a run can tell. */
export function parseSource(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors.map((error) => error.message).join('; ')}`);
  const specifiers = new Set<string>();
  const globals = new Set<string>();
  walk(program, (node) => {
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportAllDeclaration':
      case 'ExportNamedDeclaration':
      case 'ImportExpression':
      case 'TSImportType': {
        const source = node['source'];
        if (!isNode(source)) return;
        if (source.type !== 'Literal') throw new Error(`${path}: an import whose name is computed`);
        specifiers.add(nameOf(source));
        if (nameOf(source).startsWith('node:timers')) globals.add('setTimeout');
        return;
      }
      case 'MemberExpression': {
        const name = `${nameOf(node['object'])}.${nameOf(node['property'])}`;
        if (watchedMembers.has(name)) globals.add(name);
        return;
      }
      case 'CallExpression': {
        if (watchedCalls.has(nameOf(node['callee']))) globals.add(nameOf(node['callee']));
        return;
      }
      case 'NewExpression': {
        const isNow = Array.isArray(node['arguments']) && node['arguments'].length === 0;
        if (nameOf(node['callee']) === 'Date' && isNow) globals.add('new Date()');
      }
    }
  });
  const own = [...specifiers].filter((specifier) => specifier.startsWith('.'));
  return {
    path,
    files: own.map((specifier) => posix.join(posix.dirname(path), specifier)),
    packages: [...specifiers].filter((specifier) => !own.includes(specifier)).map(packageOf),
    globals: [...globals],
  };
}

/** Paths of the TypeScript files below `folders`, from the root. A folder that doesn't exist yet has none. */
export function listSources(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    try {
      const entries = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
      return entries
        .map((entry) => posix.join(folder, entry.replaceAll('\\', '/')))
        .filter((path) => /\.tsx?$/.test(path) && !path.includes('node_modules/'));
    } catch {
      return [];
    }
  });
}

export const readSources = (folders: readonly string[]): Promise<SourceFile[]> =>
  Promise.all(
    listSources(folders).map(async (path) => parseSource(path, await readFile(join(root, path), 'utf8'))),
  );
