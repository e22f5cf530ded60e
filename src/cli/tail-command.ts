/** `turnout tail`: the events of some services, one a line, for as long as somebody looks; outages are waited for. */
import { type Command, Option } from 'commander';
import type { Envelope } from '../../schema/envelope.ts';
import { codes } from '../../schema/codes.ts';
import { CommandError, errorLines, type Exit } from './exits.ts';
import { type Batch, followByPoll, type FollowOptions, notAssigned, parsePosition } from './follow.ts';
import { GatewayClient } from './gateway-client.ts';
import { commaList, type CommonOptions, countingNumber, reportsTo, withGateway } from './options.ts';
import { pauseMs, printable, rest, type Terminal } from './terminal.ts';

interface TailOptions extends CommonOptions {
  readonly transport: 'long-poll' | 'websocket' | 'auto';
  readonly from?: string;
  readonly count?: number;
}

export function addTailCommand(program: Command, terminal: Terminal): void {
  withGateway(program.command('tail'))
    .description("follow services of the token's org (TURNOUT_TOKEN); ends with Ctrl-C and says its cursor")
    .argument('<services...>', 'such as finance chat/thread-7')
    .addOption(
      new Option('--transport <which>', 'auto: WebSocket where this user is assigned to it')
        .choices(['long-poll', 'websocket', 'auto'])
        .default('long-poll'),
    )
    .option('--from <place>', 'earliest, a cursor, or a seq: what comes after it (default: from now on)')
    .option('-n, --count <events>', 'end after so many', countingNumber)
    .action(
      reportsTo(terminal, (options: TailOptions, names: readonly string[]) => {
        const client = new GatewayClient(terminal, options, ['TURNOUT_TOKEN']);
        const services = names.flatMap((name) => commaList(name));
        return tail({ client, services, terminal }, options);
      }),
    );
}

async function tail(follow: FollowOptions, options: TailOptions): Promise<Exit> {
  const { terminal } = follow;
  const { output, transport } = options;
  let position = parsePosition(options.from);
  let left = options.count ?? Number.POSITIVE_INFINITY;
  let failures = 0;
  // A place that was never served is none to go on from, and a gateway that never answered none to wait for.
  let wasLive = false;
  let byStream = transport !== 'long-poll';
  const isOver = (): boolean => left <= 0 || terminal.stopped.aborted;

  const take = async ({ events, cursor, reset, note }: Batch): Promise<void> => {
    if (note !== undefined) terminal.say(printable(`turnout: ${note}`));
    if (reset !== undefined) {
      terminal.say(`turnout: reset (${reset}): events may be missing before the next one`);
      if (output === 'json') await terminal.print(JSON.stringify({ reset, cursor }));
    }
    const shown = events.slice(0, left);
    if (shown.length > 0)
      await terminal.print(
        ...shown.map((event) => (output === 'json' ? JSON.stringify(event) : eventLine(event))),
      );
    left -= shown.length;
    const lastSeq = shown.findLast(({ seq }) => seq !== undefined)?.seq;
    // A batch that was cut short ends before its cursor.
    if (shown.length === events.length) position = cursor === undefined ? position : { cursor };
    else if (lastSeq !== undefined) position = { lastSeq };
  };

  /** Waits before the next try. @throws where waiting would not help */
  const recover = async (thrown: unknown): Promise<void> => {
    if (!(thrown instanceof CommandError)) throw thrown;
    if (isOver()) return;
    const { isTransient = false, retryAfterMs } = thrown.details;
    if (transport === 'auto' && byStream && isNotAssigned(thrown)) {
      terminal.say(`turnout: ${thrown.message}; going on by long-poll`);
      byStream = false;
      return;
    }
    if (!isTransient || !wasLive) throw thrown;
    if (failures === 0) terminal.say(...errorLines(thrown), '  connecting again at the cursor');
    await rest(terminal, retryAfterMs ?? pauseMs(failures, terminal.clock));
    failures += 1;
  };

  try {
    // Each turn is one connection, or one run of polls.
    while (!isOver())
      try {
        const batches = byStream ? (await import('./follow-stream.ts')).followByStream : followByPoll;
        for await (const batch of batches(follow, position)) {
          failures = 0;
          wasLive = true;
          await take(batch);
          if (isOver()) break;
        }
      } catch (thrown) {
        await recover(thrown);
      }
  } finally {
    const place = position.cursor === 'earliest' ? undefined : (position.cursor ?? position.lastSeq);
    if (wasLive && place !== undefined) terminal.say(`turnout: to go on from here: --from ${place}`);
  }
  return 'done';
}

const isNotAssigned = ({ details: { code } }: CommandError): boolean =>
  Object.entries(codes).some(
    ([name, entry]) => name === code && 'close' in entry && entry.close === notAssigned,
  );

export function eventLine(event: Envelope): string {
  const { timestamp, seq, service, type, payload } = event;
  const place = seq === undefined ? 'live' : `#${seq}`;
  return printable(
    `${timestamp.slice(11, 23)} ${place.padEnd(6)} ${service} ${type} ${JSON.stringify(payload)}`,
  );
}
