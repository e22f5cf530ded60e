/** The whole look that `turnout legacy check` takes: the file, what it says, and what the old API says to that. */
import { readProfile } from '../../legacy/profile/load.ts';
import { error, type Finding, warning } from '../findings.ts';
import { parseHeader, parseOldUrl } from './old-api.ts';
import { probeFindings } from './probe.ts';
import { profileFindings } from './reading.ts';
import { sourceFindings } from './source.ts';
import type { Terminal } from '../terminal.ts';

export interface CheckTarget {
  readonly url?: string;
  readonly header?: readonly string[];
}

/** @throws CommandError where nothing answers at the URL, or an option is wrong */
export async function checkProfile(
  terminal: Terminal,
  file: string,
  { url, header = [] }: CheckTarget,
): Promise<Finding[]> {
  const base = url === undefined ? undefined : parseOldUrl(url);
  const headers = Object.fromEntries(header.map(parseHeader));
  const { profile, problems, say } = readProfile(file, terminal.env);
  const found = problems.map((problem) =>
    (problem.level === 'error' ? error : warning)('profile', say(problem)),
  );
  if (profile === undefined) return found;
  const means = [...found, ...profileFindings(profile)];
  if (base === undefined) return means;
  const probed = await probeFindings(terminal, profile, base, headers);
  const said = new Set(probed.map(({ message }) => message));
  const sources = await sourceFindings(terminal, profile);
  return [...means, ...probed, ...sources.filter(({ message }) => !said.has(message))];
}
