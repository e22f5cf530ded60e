/** `turnout doctor`: looks a node's environment and surroundings over, and changes nothing. */
import type { Command } from 'commander';
import { outcomeOf } from '../findings.ts';
import { type OutputOptions, reportsTo, withOutput } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function addDoctorCommand(program: Command, terminal: Terminal): void {
  withOutput(program.command('doctor'))
    .description(
      "look a node's settings, port, keys, clock and Redis over; run it with the node's environment",
    )
    .option('--url <url>', 'a gateway that runs, to compare clocks with (TURNOUT_URL)')
    .action(
      reportsTo(terminal, async (options: OutputOptions & { url?: string }) => {
        // Not before it is asked for: what it needs is most of the program, and a kill must start at once.
        const { examine } = await import('./examination.ts');
        return outcomeOf(await examine(terminal, options));
      }),
    );
}
