/**
 * `turnout publish`: one event from arguments, or many as JSON lines on standard input. Each has its id before the gateway
 * is asked, so that asking again after an outage never stores it twice.
 */
import { createInterface } from 'node:readline';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { type PublishResult, publishItemSchema, publishResultSchema } from '../../schema/http.ts';
import { CommandError, type Exit } from './exits.ts';
import { jsonIn } from '../json.ts';
import { GatewayClient } from './gateway-client.ts';
import { commaList, type CommonOptions, reportsTo, show, withGateway } from './options.ts';
import { parseSpan } from './spans.ts';
import { pauseMs, rest, type Terminal } from './terminal.ts';

type Item = z.infer<typeof publishItemSchema>;

interface PublishOptions extends CommonOptions, Pick<Item, 'org' | 'id' | 'to' | 'ephemeral'> {
  readonly thread?: string;
  readonly asUser?: boolean;
  readonly retryFor: number;
}

export function addPublishCommand(program: Command, terminal: Terminal): void {
  withGateway(program.command('publish'))
    .description(
      'publish one event, or JSON lines from standard input (TURNOUT_TOKEN with the role producer)',
    )
    .argument('[service]', 'such as finance; left out: one event a line on standard input')
    .argument('[type]', 'such as revenue')
    .argument('[payload]', 'JSON', parseJson)
    .option('--org <org>', "for another org than the token's; a producer only")
    .option('--id <id>', 'so that the same event is never stored twice; left out: a new one')
    .option('--thread <id>', 'thread_id')
    .option('--to <users>', 'only these users of the org receive it', commaList)
    .option('--ephemeral', 'delivered live and not stored')
    .option('--as-user', "as an end user, within the token's publish claim")
    .option(
      '--retry-for <span>',
      'how long to ask again during an outage, under the same id',
      parseWait,
      60_000,
    )
    .action(
      reportsTo(
        terminal,
        async (options: PublishOptions, service?: string, type?: string, payload: unknown = null) => {
          const client = new GatewayClient(terminal, options, ['TURNOUT_TOKEN']);
          const publishing = { terminal, client, options };
          if (service === undefined) return publishLines(publishing);
          if (type === undefined) throw new CommandError('usage', 'give a service and a type, or neither');
          await publishOne(publishing, { service, type, payload });
          return 'done';
        },
      ),
    );
}

interface Publishing {
  readonly terminal: Terminal;
  readonly client: GatewayClient;
  readonly options: PublishOptions;
}

async function publishLines(publishing: Publishing): Promise<Exit> {
  const { terminal, options } = publishing;
  if (options.id !== undefined)
    throw new CommandError('usage', 'on standard input each event brings its own id');
  let line = 0;
  let published = 0;
  try {
    // Ctrl-C ends it, though nothing more may ever be said there.
    for await (const text of createInterface({ input: terminal.input, signal: terminal.stopped })) {
      if (terminal.stopped.aborted) break;
      line += 1;
      if (text.trim() === '') continue;
      await publishOne(publishing, parsedLine(text));
      published += 1;
    }
    if (terminal.stopped.aborted) throw new CommandError('usage', 'stopped');
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown;
    const message = `line ${line}: ${thrown.message}; ${published} events before it were published`;
    throw new CommandError(thrown.exit, message, thrown.details);
  }
  return 'done';
}

async function publishOne(publishing: Publishing, event: object): Promise<void> {
  const { terminal, options } = publishing;
  const { org, id, thread, to, ephemeral } = options;
  const given = { org, thread_id: thread, to, ephemeral, id: id ?? terminal.clock.id() };
  const parsed = publishItemSchema.safeParse({ ...given, ...event });
  if (!parsed.success)
    throw new CommandError('usage', `no event: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  const [stored] = (await untilAcknowledged(publishing, parsed.data)).results;
  const place = stored?.seq === undefined ? 'sent, not stored' : `#${stored.seq}`;
  const line = `${place}  ${stored?.id ?? ''}${stored?.duplicate === true ? '  (was there already)' : ''}`;
  await show(terminal, options, { json: stored, lines: () => [line] });
}

/** @throws CommandError once it is refused for good, or the time for trying is over */
async function untilAcknowledged(
  { terminal, client, options: { asUser, retryFor } }: Publishing,
  body: Item,
): Promise<PublishResult> {
  const path = asUser === true ? '/v2/realtime/publish' : '/v1/publish';
  const endMs = terminal.clock.monotonic() + retryFor;
  for (let failures = 0; ; failures += 1)
    try {
      return await client.call(publishResultSchema, path, { method: 'POST', body });
    } catch (thrown) {
      if (!(thrown instanceof CommandError) || terminal.stopped.aborted) throw thrown;
      const leftMs = endMs - terminal.clock.monotonic();
      if (thrown.details.isTransient !== true || leftMs <= 0) throw thrown;
      // The last try is at the very end, however long the pause would have been.
      const waitMs = Math.min(leftMs, thrown.details.retryAfterMs ?? pauseMs(failures, terminal.clock));
      terminal.say(`turnout: ${thrown.message}; asking again under the id ${body.id ?? ''}`);
      await rest(terminal, waitMs);
    }
}

function parsedLine(text: string): Record<string, unknown> {
  const parsed = z.record(z.string(), z.unknown()).safeParse(jsonIn(text));
  if (!parsed.success) throw new CommandError('usage', 'not a JSON object');
  return parsed.data;
}

function parseJson(text: string): unknown {
  const payload = jsonIn(text);
  if (payload !== undefined) return payload;
  throw new InvalidArgumentError('A payload is JSON: \'{"amount":1200}\', or \'"text"\' in quotes.');
}

function parseWait(text: string): number {
  const ms = text === '0' ? 0 : parseSpan(text);
  if (ms === undefined) throw new InvalidArgumentError('A span looks like 90s, 15m, 1h.');
  return ms;
}
