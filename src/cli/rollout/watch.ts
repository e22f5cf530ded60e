/** `rollout get -w`: shows the rollout again whenever it changed, and goes on when the gateway is away for a while. */
import type { AuditEntry, RolloutBody } from '../../../schema/admin.ts';
import { CommandError, errorLines, type Exit } from '../exits.ts';
import { rest, type Terminal } from '../terminal.ts';

const everyMs = 1000;
const clearScreen = '\u001b[2J\u001b[H';

interface Seen {
  readonly body: RolloutBody;
  readonly audit: readonly AuditEntry[];
}

/** Ends when it is stopped. @throws CommandError where the first look fails: nobody waits for a mistyped URL. */
export async function watchRollout(
  terminal: Terminal,
  read: () => Promise<Seen>,
  show: (seen: Seen) => Promise<void>,
  output: 'text' | 'json',
): Promise<Exit> {
  let shown = '';
  let isAway = false;
  while (!terminal.stopped.aborted) {
    try {
      const seen = await read();
      const now = JSON.stringify(seen.body);
      // Where a person watches, spans such as '5 min ago' go on; a log wants what changed only.
      const isRedrawn = terminal.isInteractive && output === 'text';
      if (isRedrawn) await terminal.print(clearScreen);
      if (isRedrawn || now !== shown) await show(seen);
      shown = now;
      isAway = false;
    } catch (thrown) {
      const canHeal = thrown instanceof CommandError && thrown.isTransient && shown !== '';
      if (!canHeal) throw thrown;
      // Ctrl-C ends the question that is out, too.
      if (terminal.stopped.aborted) break;
      if (!isAway) terminal.say(...errorLines(thrown), '  trying again; what was shown last may be old');
      isAway = true;
    }
    await rest(terminal, everyMs);
  }
  return 'done';
}
