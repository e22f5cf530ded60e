#!/usr/bin/env node
/** The `turnout` command: runs one and ends with its exit code. No logic of its own. */
import { CommanderError } from 'commander';
import { exits } from './exits.ts';
import { turnoutProgram } from './program.ts';
import { systemTerminal } from './terminal.ts';

// The house's timers don't keep a process alive, and a command that waits for one has nothing else that would.
const { port1: alive, port2: end } = new MessageChannel();
alive.ref();
// `turnout tail | head`: the reader has had enough, which is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exits.done.code);
  throw error;
});

try {
  const args = process.argv.slice(2);
  await turnoutProgram(systemTerminal(), args).parseAsync(args, { from: 'user' });
} catch (thrown) {
  // Help and version come this way too, with 0; what it had to say was printed.
  if (!(thrown instanceof CommanderError)) throw thrown;
  process.exitCode = thrown.exitCode === 0 ? exits.done.code : exits.usage.code;
} finally {
  alive.close();
  end.close();
}
