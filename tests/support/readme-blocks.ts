/** The README's own commands, so that what a newcomer pastes is what is tested. */
import { readFileSync } from 'node:fs';

export interface Block {
  /** The nearest heading above it. */
  readonly heading: string;
  readonly text: string;
}

/** The fenced `sh` blocks below the heading `section`, up to the next heading of its level or above. @throws when there are none. */
export function readmeBlocks(section: string): Block[] {
  const blocks: Block[] = [];
  let level = 0;
  let heading = '';
  let open: string[] | undefined;
  for (const line of readFileSync('README.md', 'utf8').split('\n')) {
    if (open !== undefined) {
      if (line.trim() === '```') {
        blocks.push({ heading, text: open.join('\n') });
        open = undefined;
      } else open.push(line);
      continue;
    }
    const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? [];
    if (marks !== undefined && title !== undefined) {
      if (level > 0 && marks.length <= level) break;
      if (title.trim() === section) level = marks.length;
      heading = title.trim();
    }
    if (level > 0 && /^\s*```(sh|bash)\s*$/.test(line)) open = [];
  }
  if (blocks.length === 0) throw new Error(`README.md has no sh block below "${section}"`);
  return blocks;
}
