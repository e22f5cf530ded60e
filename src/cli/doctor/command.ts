/** `turnout doctor`: looks a node's environment and surroundings over, and changes nothing. */
import type { Command } from 'commander';
import type { Exit } from '../exits.ts';
import { findingLines, reportOf } from '../findings.ts';
import { type OutputOptions, reportsTo, withOutput } from '../options.ts';
import { printable } from '../printable.ts';
import type { Terminal } from '../terminal.ts';

interface DoctorOptions extends OutputOptions {
  readonly url?: string;
}

export function addDoctorCommand(program: Command, terminal: Terminal): void {
  withOutput(program.command('doctor'))
    .description(
      "look a node's settings, port, keys, clock and Redis over; run it with the node's environment",
    )
    .option('--url <url>', 'a gateway that runs, to compare clocks with (TURNOUT_URL)')
    .action(
      reportsTo(terminal, async (options: DoctorOptions): Promise<Exit> => {
        // Not before it is asked for: what it needs is most of the program, and a kill must start at once.
        const { examine } = await import('./examination.ts');
        const report = reportOf(await examine(terminal, options));
        const lines =
          options.output === 'json' ? [JSON.stringify(report)] : findingLines(report).map(printable);
        await terminal.print(...lines);
        return report.healthy ? 'done' : 'usage';
      }),
    );
}
