/** What the shadows found, for people: whether the profile can be served, and if not, what to look at. Pure. */
import type { ShadowBody, ShadowSummary } from '../../../schema/admin.ts';
import { momentText } from '../spans.ts';

const meanings: Readonly<Record<keyof ShadowSummary['differences'], string>> = {
  missing: "Turnout's log lacks an event that the old backend gave: is the bridge running, and not behind?",
  extra: 'the old backend leaves out an event that Turnout has',
  order: 'the same events in another order',
  shape: 'an event would be written otherwise: see response.event in the profile',
  late: 'events came to the log only after the old backend had given them',
  unreadable: 'an answer that the profile does not describe: try turnout legacy check',
};
const reasons: Readonly<Record<keyof ShadowSummary['skipped'], string>> = {
  'no-cursor': 'the client brought no cursor',
  'unknown-cursor': "the client's cursor is not in the log: older than its retention, or ahead of the bridge",
  reset: 'the log is another since',
  'log-away': 'the log could not be reached',
};

/** Answers that were not the same; a late one is right all the same. */
export const isClean = ({ differences }: ShadowSummary): boolean =>
  Object.entries(differences).every(([kind, count]) => kind === 'late' || count === 0);

export function shadowLines({ profiles, missing }: ShadowBody): string[] {
  const names = Object.entries(profiles);
  if (names.length === 0)
    return ['no profile has a shadow: set shadow.percent in one of TURNOUT_PROFILES, and restart'];
  const away =
    missing.length === 0 ? [] : [`no answer from ${missing.join(', ')}: its figures are not in these`];
  return [...names.flatMap(([name, summary]) => profileLines(name, summary)), ...away];
}

function profileLines(name: string, summary: ShadowSummary): string[] {
  const { compared, same, differences, skipped, mostLateMs, examples } = summary;
  const share = compared === 0 ? '' : ` (${((100 * same) / compared).toFixed(2)} %)`;
  const verdict =
    compared === 0
      ? 'nothing compared yet'
      : isClean(summary)
        ? 'no difference that a client would see'
        : 'NOT the same: look below before legacy-serve is raised';
  const lines = [`${name}: ${verdict}`, `  compared ${compared}, same ${same}${share}`];
  for (const [kind, count] of entriesOf(differences))
    if (count > 0) {
      const most = kind === 'late' ? `, by ${Math.round(mostLateMs)} ms at most` : '';
      lines.push(`  ${kind} ${count}${most}: ${meanings[kind]}`);
    }
  for (const [why, count] of entriesOf(skipped))
    if (count > 0) lines.push(`  not compared ${count}: ${reasons[why]}`);
  for (const { kind, at, keys, detail } of examples.slice(-5)) {
    const which = keys.length === 0 ? '' : ` ${keys.join(', ')}`;
    lines.push(
      `  e.g. ${momentText(new Date(at).toISOString())} ${kind}${which}${detail === undefined ? '' : ` ${detail}`}`,
    );
  }
  return lines;
}

const entriesOf = <K extends string>(counts: Readonly<Record<K, number>>): [K, number][] =>
  Object.entries(counts) as [K, number][];
