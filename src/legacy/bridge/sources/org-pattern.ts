/** Names of keys and channels with an org in them, `updates:{org}`: what to search for, and the org of what was found. */
import { orgSchema } from '../../../../schema/envelope.ts';

const mark = '{org}';

export interface OrgPattern {
  /** False where the name says nothing of the org. */
  readonly hasOrg: boolean;
  /** As Redis takes it for SCAN and PSUBSCRIBE. */
  readonly glob: string;
  nameOf(org: string): string;
  /** Undefined for a name of another form, or where what stands there is no org. */
  orgOf(name: string): string | undefined;
}

export function orgPattern(text: string): OrgPattern {
  const at = text.indexOf(mark);
  const hasOrg = at >= 0;
  const [before, after] = hasOrg ? [text.slice(0, at), text.slice(at + mark.length)] : [text, ''];
  return {
    hasOrg,
    glob: hasOrg ? `${literal(before)}*${literal(after)}` : literal(before),
    nameOf: (org) => (hasOrg ? `${before}${org}${after}` : text),
    orgOf(name) {
      const isLong = name.length > before.length + after.length;
      if (!hasOrg || !isLong || !name.startsWith(before) || !name.endsWith(after)) return undefined;
      const org = name.slice(before.length, name.length - after.length);
      return orgSchema.safeParse(org).success ? org : undefined;
    },
  };
}

const literal = (text: string): string => text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`);
