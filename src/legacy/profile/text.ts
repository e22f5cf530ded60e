/** A profile's text, YAML or JSON: what it says and on which line. Its messages repeat nothing of the text: it may hold secrets. */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { fault, type ProfilePath, type ProfileProblem } from './problem.ts';

interface ProfileText {
  readonly value: unknown;
  /** The line of what stands at the path, or of what is nearest above it; from 1 on. */
  lineOf(path: ProfilePath): number;
}

/** JSON is YAML too. Of a text that is neither: what is wrong, with the line as its path. */
export function parseProfileText(text: string): ProfileText | readonly ProfileProblem[] {
  const lines = new LineCounter();
  // Pretty errors quote the line, and what stands behind a colon quotes a word of it.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => Math.max(lines.linePos(offset).line, 1);
  const faults = [...document.errors, ...document.warnings].slice(0, 10);
  if (faults.length > 0)
    return faults.map(({ pos: [at], message }) => fault([lineAt(at)], message.split(': ')[0] ?? ''));
  const { contents } = document;
  try {
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return { value, lineOf: (path) => lineAt(offsetOf(contents, path)) };
  } catch {
    return [fault([1], 'aliases (*name) that lead nowhere, or to too much')];
  }
}

function offsetOf(contents: Node | null, path: ProfilePath): number {
  let [node, offset]: [unknown, number] = [contents, contents?.range?.[0] ?? 0];
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isMap(node) || isScalar(node) || isSeq(node)) offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}
