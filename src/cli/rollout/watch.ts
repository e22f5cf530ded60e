/** `rollout get -w`: shows the rollout again whenever it changed, and goes on when the gateway is away for a while. */
import { CommandError, errorLines, type Exit } from '../exits.ts';
import { type Outcome, type OutputOptions, show } from '../options.ts';
import { rest, type Terminal } from '../terminal.ts';

const everyMs = 1000;
const clearScreen = '\u001b[2J\u001b[H';

/** Ends when it is stopped. @throws CommandError where the first look fails: nobody waits for a mistyped URL. */
export async function watchRollout(
  terminal: Terminal,
  read: () => Promise<Outcome>,
  options: OutputOptions,
): Promise<Exit> {
  let shown = '';
  let isAway = false;
  while (!terminal.stopped.aborted) {
    try {
      const seen = await read();
      const now = JSON.stringify(seen.json);
      // Where a person watches, spans such as '5 min ago' go on; a log wants what changed only.
      const isRedrawn = terminal.isInteractive && options.output === 'text';
      if (isRedrawn) await terminal.print(clearScreen);
      if (isRedrawn || now !== shown) await show(terminal, options, seen);
      shown = now;
      isAway = false;
    } catch (thrown) {
      if (!(thrown instanceof CommandError) || thrown.details.isTransient !== true || shown === '')
        throw thrown;
      // Ctrl-C ends the question that is out, too.
      if (terminal.stopped.aborted) break;
      if (!isAway) terminal.say(...errorLines(thrown), '  trying again; what was shown last may be old');
      isAway = true;
    }
    await rest(terminal, everyMs);
  }
  return 'done';
}
