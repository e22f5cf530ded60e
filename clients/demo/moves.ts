/** What each change of the rollout moved, and how long that took: from the audit trail and the crowd's own moves. */
import type { AuditEntry } from '../../schema/audit.ts';
import { byId, make } from './page.ts';
import type { Move } from './state.ts';

const shown = 6;
/** A change that the next one overtook this soon, before it moved anybody, was a step on the slider's way. */
const overtakenMs = 2000;

interface Change {
  readonly what: string;
  readonly moved: string;
  readonly took: string;
}

/** @param entries newest first. @param moves oldest first. */
function changesOf(entries: readonly AuditEntry[], moves: readonly Move[]): readonly Change[] {
  const changes = entries.flatMap((entry, index): Change[] => {
    const fromMs = Date.parse(entry.at);
    const next = entries[index - 1];
    const untilMs = next === undefined ? Infinity : Date.parse(next.at);
    const own = moves.filter(({ atMs }) => atMs >= fromMs && atMs < untilMs);
    if (own.length === 0 && untilMs - fromMs < overtakenMs) return [];
    const up = own.filter(({ to }) => to === 'websocket').length;
    const down = own.length - up;
    const moved = [...(up > 0 ? [`${up} up`] : []), ...(down > 0 ? [`${down} down`] : [])];
    const last = own.at(-1);
    return [
      {
        what: nameOf(entry),
        moved: moved.length > 0 ? moved.join(', ') : 'none',
        took: last === undefined ? '–' : `${((last.atMs - fromMs) / 1000).toFixed(2)} s`,
      },
    ];
  });
  return changes.slice(0, shown);
}

function nameOf({ action, to }: AuditEntry): string {
  if (action === 'percent') return `${String(to)} %`;
  if (action === 'unkill') return 'bring back';
  return action;
}

let written = '';

export function showMoves(entries: readonly AuditEntry[], moves: readonly Move[]): void {
  const changes = changesOf(
    entries.filter(({ action }) => action !== 'start'),
    moves,
  );
  const text = JSON.stringify(changes);
  if (changes.length === 0 || text === written) return;
  written = text;
  const rows = changes.map(({ what, moved, took }) =>
    make('tr', '', make('th', '', what), make('td', '', moved), make('td', 'number', took)),
  );
  for (const row of rows) row.firstElementChild?.setAttribute('scope', 'row');
  byId('moves').replaceChildren(...rows);
}
