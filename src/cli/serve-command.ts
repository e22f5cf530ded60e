/** `turnout serve`: a node, exactly as `npm start` runs it. */
import type { Command } from 'commander';

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('run a gateway node; its settings are variables (docs/CONFIGURATION.md)')
    .action(async () => {
      await import('../main.ts');
    });
}
