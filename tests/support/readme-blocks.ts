/** The commands of the README and of the guides, so that what a reader pastes is what is tested. */
import { readFileSync } from 'node:fs';

export interface Block {
  /** The nearest heading above it. */
  readonly heading: string;
  readonly text: string;
}

/**
 * The fenced `sh` blocks below the heading `section`, up to the next heading of its level or above.
 * @param file from the repository's root
 * @throws when there are none
 */
export function readmeBlocks(section: string, file = 'README.md'): Block[] {
  const blocks: Block[] = [];
  let level = 0;
  let heading = '';
  /** An open fence; what looks like a heading in one is none. */
  let fence: { readonly isCommand: boolean; readonly lines: string[] } | undefined;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, language] = /^\s*```(\S*)\s*$/.exec(line) ?? [];
    if (fence !== undefined) {
      if (language !== '') fence.lines.push(line);
      else {
        if (fence.isCommand && level > 0) blocks.push({ heading, text: fence.lines.join('\n') });
        fence = undefined;
      }
      continue;
    }
    if (language !== undefined) {
      fence = { isCommand: language === 'sh' || language === 'bash', lines: [] };
      continue;
    }
    const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? [];
    if (marks === undefined || title === undefined) continue;
    if (level > 0 && marks.length <= level) break;
    if (title.trim() === section) level = marks.length;
    heading = title.trim();
  }
  if (blocks.length === 0) throw new Error(`${file} has no sh block below "${section}"`);
  return blocks;
}
