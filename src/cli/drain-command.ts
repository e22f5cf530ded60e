/** `turnout drain NODE`: sends who is connected to one node elsewhere, through any other node. */
import type { Command } from 'commander';
import { drainAnswerSchema, rolloutBodySchema } from '../../schema/admin.ts';
import { CommandError, type Exit } from './exits.ts';
import { type GatewayClient, gatewayClient } from './gateway-client.ts';
import { type CommonOptions, reportsTo, withGateway, withOutput, withReason } from './options.ts';
import type { Terminal } from './terminal.ts';

interface DrainOptions extends CommonOptions {
  readonly reason: string;
  readonly yes?: boolean;
}

export function addDrainCommand(program: Command, terminal: Terminal): void {
  withReason(withOutput(withGateway(program.command('drain'))))
    .description('send who is connected to one node elsewhere, then end it')
    .argument('<node>', 'its id, as turnout rollout get shows it')
    .option('--yes', 'even if no other node lives')
    .action(
      reportsTo(terminal, async (options: DrainOptions, node: string): Promise<Exit> => {
        const client = gatewayClient(terminal, options, ['TURNOUT_ADMIN_TOKEN', 'TURNOUT_TOKEN']);
        if (await isLast(client, node)) {
          const means = `${node} is the last node that lives: when it has drained, nobody is served`;
          if (options.yes !== true)
            throw new CommandError('usage', means, {
              hint: 'start another node first (turnout rollout get shows it), or say --yes',
            });
          terminal.say(means);
        }
        const path = `/admin/v1/nodes/${encodeURIComponent(node)}/drain`;
        const body = { reason: options.reason };
        const answer = await client.call(drainAnswerSchema, path, { method: 'POST', body });
        const line = `${node} drains: its streams are told one after the other, then it ends`;
        await terminal.print(options.output === 'json' ? JSON.stringify(answer) : line);
        return 'done';
      }),
    );
}

/** An id that is no living node's is the gateway's to refuse. */
async function isLast(client: GatewayClient, node: string): Promise<boolean> {
  const { acks } = await client.call(rolloutBodySchema, '/admin/v1/rollout');
  const nodes = Object.keys(acks);
  return nodes.length === 1 && nodes[0] === node;
}
