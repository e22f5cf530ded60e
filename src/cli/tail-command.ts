/** `turnout tail`: the events of some services, one a line, for as long as somebody looks; outages are waited for. */
import { type Command, Option } from 'commander';
import type { Envelope } from '../../schema/envelope.ts';
import { codes } from '../../schema/codes.ts';
import { pauseMs } from './backoff.ts';
import { CommandError, errorLines, type Exit } from './exits.ts';
import { type Batch, type FollowOptions, notAssigned, parsePosition, type Position } from './follow.ts';
import { followByPoll } from './follow-poll.ts';
import { gatewayClient } from './gateway-client.ts';
import {
  commaList,
  type CommonOptions,
  countingNumber,
  reportsTo,
  withGateway,
  withOutput,
} from './options.ts';
import { printable } from './printable.ts';
import { rest, type Terminal } from './terminal.ts';

interface TailOptions extends CommonOptions {
  readonly transport: 'long-poll' | 'websocket' | 'auto';
  readonly from?: string;
  readonly count?: number;
}

export function addTailCommand(program: Command, terminal: Terminal): void {
  withOutput(withGateway(program.command('tail')))
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
        const client = gatewayClient(terminal, options, ['TURNOUT_TOKEN']);
        const services = names.flatMap((name) => commaList(name));
        return new Tail({ client, services, terminal }, options).run();
      }),
    );
}

class Tail {
  private readonly follow: FollowOptions;
  private readonly options: TailOptions;
  private readonly terminal: Terminal;
  private position: Position;
  private left: number;
  private failures = 0;
  /** Whether anything was ever heard: what never worked is not worth waiting for. */
  private wasLive = false;
  private byStream: boolean;

  constructor(follow: FollowOptions, options: TailOptions) {
    this.follow = follow;
    this.options = options;
    this.terminal = follow.terminal;
    this.position = parsePosition(options.from);
    this.left = options.count ?? Number.POSITIVE_INFINITY;
    this.byStream = options.transport !== 'long-poll';
  }

  async run(): Promise<Exit> {
    try {
      while (!this.isOver) await this.untilCut();
    } finally {
      // A place that was never served is none to go on from.
      if (this.wasLive) this.sayWhere();
    }
    return 'done';
  }

  private get isOver(): boolean {
    return this.left <= 0 || this.terminal.stopped.aborted;
  }

  /** One connection, or one run of polls. @throws CommandError where waiting would not help */
  private async untilCut(): Promise<void> {
    const follow = this.byStream ? (await import('./follow-stream.ts')).followByStream : followByPoll;
    try {
      for await (const batch of follow(this.follow, this.position)) {
        this.failures = 0;
        this.wasLive = true;
        await this.take(batch);
        if (this.isOver) return;
      }
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      if (this.isOver) return;
      if (this.options.transport === 'auto' && this.byStream && isNotAssigned(thrown)) {
        this.terminal.say(`turnout: ${thrown.message}; going on by long-poll`);
        this.byStream = false;
        return;
      }
      if (!thrown.isTransient || !this.wasLive) throw thrown;
      if (this.failures === 0) this.terminal.say(...errorLines(thrown), '  connecting again at the cursor');
      await rest(this.terminal, thrown.retryAfterMs ?? pauseMs(this.failures, this.terminal.clock));
      this.failures += 1;
    }
  }

  private async take({ events, cursor, reset, note }: Batch): Promise<void> {
    const { output } = this.options;
    if (note !== undefined) this.terminal.say(printable(`turnout: ${note}`));
    if (reset !== undefined) {
      this.terminal.say(`turnout: reset (${reset}): events may be missing before the next one`);
      if (output === 'json') await this.terminal.print(JSON.stringify({ reset, cursor }));
    }
    const shown = events.slice(0, this.left);
    if (shown.length > 0)
      await this.terminal.print(
        ...shown.map((event) => (output === 'json' ? JSON.stringify(event) : eventLine(event))),
      );
    this.left -= shown.length;
    const lastSeq = shown.findLast(({ seq }) => seq !== undefined)?.seq;
    // A batch that was cut short ends before its cursor.
    if (shown.length === events.length)
      this.position = cursor === undefined ? this.position : { at: 'cursor', cursor };
    else if (lastSeq !== undefined) this.position = { at: 'seq', seq: lastSeq };
  }

  private sayWhere(): void {
    const { position } = this;
    if (position.at === 'cursor') this.terminal.say(`turnout: to go on from here: --from ${position.cursor}`);
    if (position.at === 'seq') this.terminal.say(`turnout: to go on from here: --from ${position.seq}`);
  }
}

const isNotAssigned = ({ code }: CommandError): boolean =>
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
