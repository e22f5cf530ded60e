/**
 * `npm run load -- longpoll|publish|websocket|move --clients N --rate EVENTS/S --seconds S --target URL`: loads a gateway that
 * is there, or one that it starts, checks every delivery, and exits by loadtest/budgets.json. A target's tokens are signed
 * with TURNOUT_JWT_SECRET, its admin calls made with TURNOUT_ADMIN_TOKEN. `--priority` (as root) runs it all ahead of the
 * machine's other work.
 */
import { parseArgs } from 'node:util';
import { goAhead } from './machine.ts';
import { isQuick, report } from './report.ts';
import { loadLongPoll } from './scenarios/longpoll.ts';
import { loadMove } from './scenarios/move.ts';
import { loadPublish } from './scenarios/publish.ts';
import type { Outcome } from './scenarios/verdict.ts';
import { loadWebSocket } from './scenarios/websocket.ts';

const scenarios: Readonly<Record<string, () => Promise<Outcome>>> = {
  longpoll: loadLongPoll,
  publish: loadPublish,
  websocket: loadWebSocket,
  move: loadMove,
};

const takesText = { type: 'string' } as const;
const takesNothing = { type: 'boolean' } as const;
const options = {
  clients: takesText,
  rate: takesText,
  seconds: takesText,
  target: takesText,
  window: takesText,
  priority: takesNothing,
  profile: takesNothing,
  quick: takesNothing,
};

/** Each scenario reads its own options; what none would read is a slip of the pen, and the run not the one that was meant. */
function problemIn(args: readonly string[]): string | undefined {
  const joined = args.find((arg) => /^--\w+=/.test(arg));
  if (joined !== undefined) return `write ${joined.replace('=', ' ')}`;
  try {
    parseArgs({ args: [...args], options });
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

const usage = `npm run load -- ${Object.keys(scenarios).join('|')} [--clients N] [--rate EVENTS/S]
            [--seconds S] [--target URL] [--window MS (move)] [--priority] [--profile] [--quick]
A target's TURNOUT_JWT_SECRET signs the tokens; move needs its TURNOUT_ADMIN_TOKEN, too.
Ends with 0 where loadtest/budgets.json is met, with 1 where it isn't or the run failed, with 2 for wrong usage.`;

/** @returns the exit code. */
async function main(name: string, args: readonly string[]): Promise<number> {
  const scenario = scenarios[name];
  const problem = problemIn(args);
  if (name === '--help' || args.includes('--help')) {
    console.log(usage);
    return 0;
  }
  if (scenario === undefined || problem !== undefined) {
    const what = scenario === undefined ? `there is no scenario '${name}'` : problem;
    if (name !== '') console.log(`load: ${what}`);
    console.log(usage);
    return 2;
  }
  // Whatever is started from here on inherits it.
  const isAhead = process.argv.includes('--priority') && goAhead([process.pid]);
  const { about, rows } = await scenario();
  report(`load-${name}`, { isAhead, ...about }, rows);
  return isQuick || rows.every(({ met }) => met) ? 0 : 1;
}

process.exitCode = await main(process.argv[2] ?? '', process.argv.slice(3)).catch((thrown: unknown) => {
  console.error(`load: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  return 1;
});
process.exit();
