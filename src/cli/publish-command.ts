/**
 * `turnout publish`: one event from arguments, or many as JSON lines on standard input. Each has its id before the gateway
 * is asked, so that asking again after an outage never stores it twice.
 */
import { createInterface } from 'node:readline';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { type PublishResult, publishItemSchema, publishResultSchema } from '../../schema/http.ts';
import { pauseMs } from './backoff.ts';
import { CommandError, type Exit } from './exits.ts';
import { type GatewayClient, gatewayClient } from './gateway-client.ts';
import { commaList, type CommonOptions, reportsTo, withGateway, withOutput } from './options.ts';
import { parseSpan } from './spans.ts';
import { rest, type Terminal } from './terminal.ts';

type Item = z.infer<typeof publishItemSchema>;

interface PublishOptions extends CommonOptions {
  readonly org?: string;
  readonly id?: string;
  readonly thread?: string;
  readonly to?: readonly string[];
  readonly ephemeral?: boolean;
  readonly asUser?: boolean;
  readonly retryFor: number;
}

export function addPublishCommand(program: Command, terminal: Terminal): void {
  withOutput(withGateway(program.command('publish')))
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
        async (
          options: PublishOptions,
          service?: string,
          type?: string,
          payload?: unknown,
        ): Promise<Exit> => {
          const client = gatewayClient(terminal, options, ['TURNOUT_TOKEN']);
          if (service === undefined) return publishLines(terminal, client, options);
          if (type === undefined) throw new CommandError('usage', 'give a service and a type, or neither');
          await publishOne(terminal, client, options, { service, type, payload: payload ?? null });
          return 'done';
        },
      ),
    );
}

async function publishLines(
  terminal: Terminal,
  client: GatewayClient,
  options: PublishOptions,
): Promise<Exit> {
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
      await publishOne(terminal, client, options, parsedLine(text));
      published += 1;
    }
    if (terminal.stopped.aborted) throw new CommandError('usage', 'stopped');
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown;
    throw new CommandError(
      thrown.exit,
      `line ${line}: ${thrown.message}; ${published} events before it were published`,
      thrown,
    );
  }
  return 'done';
}

async function publishOne(
  terminal: Terminal,
  client: GatewayClient,
  options: PublishOptions,
  event: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { org, id, thread, to, ephemeral } = options;
  const wanted = {
    ...(org !== undefined && { org }),
    ...(thread !== undefined && { thread_id: thread }),
    ...(to !== undefined && { to }),
    ...(ephemeral === true && { ephemeral }),
    id: id ?? terminal.clock.id(),
    ...event,
  };
  const parsed = publishItemSchema.safeParse(wanted);
  if (!parsed.success)
    throw new CommandError('usage', `no event: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  const result = await untilAcknowledged(terminal, client, options, parsed.data);
  const [stored] = result.results;
  if (options.output === 'json') return terminal.print(JSON.stringify(stored));
  const place = stored?.seq === undefined ? 'sent, not stored' : `#${stored.seq}`;
  await terminal.print(
    `${place}  ${stored?.id ?? ''}${stored?.duplicate === true ? '  (was there already)' : ''}`,
  );
}

/** @throws CommandError once it is refused for good, or the time for trying is over */
async function untilAcknowledged(
  terminal: Terminal,
  client: GatewayClient,
  { asUser, retryFor }: PublishOptions,
  body: Item,
): Promise<PublishResult> {
  const path = asUser === true ? '/v2/realtime/publish' : '/v1/publish';
  const endMs = terminal.clock.monotonic() + retryFor;
  for (let failures = 0; ; failures += 1)
    try {
      return await client.call(publishResultSchema, path, { method: 'POST', body });
    } catch (thrown) {
      if (!(thrown instanceof CommandError) || !thrown.isTransient || terminal.stopped.aborted) throw thrown;
      const leftMs = endMs - terminal.clock.monotonic();
      if (leftMs <= 0) throw thrown;
      // The last try is at the very end, however long the pause would have been.
      const waitMs = Math.min(leftMs, thrown.retryAfterMs ?? pauseMs(failures, terminal.clock));
      terminal.say(`turnout: ${thrown.message}; asking again under the id ${body.id ?? ''}`);
      await rest(terminal, waitMs);
    }
}

function parsedLine(text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new CommandError('usage', 'not a JSON object');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('A payload is JSON: \'{"amount":1200}\', or \'"text"\' in quotes.');
  }
}

function parseWait(text: string): number {
  const ms = text === '0' ? 0 : parseSpan(text);
  if (ms === undefined) throw new InvalidArgumentError('A span looks like 90s, 15m, 1h.');
  return ms;
}
