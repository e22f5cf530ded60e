/** Names of keys and channels with an org in them, `updates:{org}`: what to search for, and the org of what was found. */
import { orgSchema } from '../../../../schema/envelope.ts';
import { between, splitOnce } from '../../dialect/cursor.ts';

const mark = '{org}';

export type OrgPattern = ReturnType<typeof orgPattern>;

export function orgPattern(text: string) {
  const hasOrg = text.includes(mark);
  const [before, after] = splitOnce(text, mark);
  return {
    /** False where the name says nothing of the org. */
    hasOrg,
    /** As Redis takes it for SCAN and PSUBSCRIBE. */
    glob: hasOrg ? `${literal(before)}*${literal(after)}` : literal(text),
    nameOf: (org: string): string => (hasOrg ? `${before}${org}${after}` : text),
    /** Undefined for a name of another form, or where what stands there is no org. */
    orgOf: (name: string): string | undefined =>
      hasOrg ? orgSchema.safeParse(between(name, before, after)).data : undefined,
  };
}

const literal = (text: string): string => text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`);
