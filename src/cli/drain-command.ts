/** `turnout drain NODE`: sends who is connected to one node elsewhere, through any other node. */
import type { Command } from 'commander';
import { drainAnswerSchema, rolloutBodySchema } from '../../schema/admin.ts';
import { CommandError } from './exits.ts';
import { adminTokens, GatewayClient } from './gateway-client.ts';
import { type CommonOptions, reportsTo, withGateway, withReason } from './options.ts';
import type { Terminal } from './terminal.ts';

export function addDrainCommand(program: Command, terminal: Terminal): void {
  withReason(withGateway(program.command('drain')))
    .description('send who is connected to one node elsewhere, then end it')
    .argument('<node>', 'its id, as turnout rollout get shows it')
    .option('--yes', 'even if no other node lives')
    .action(
      reportsTo(
        terminal,
        async (options: CommonOptions & { reason: string; yes?: boolean }, node: string) => {
          const client = new GatewayClient(terminal, options, adminTokens);
          const { acks } = await client.call(rolloutBodySchema, '/admin/v1/rollout');
          // An id that is no living node's is the gateway's to refuse.
          if (Object.hasOwn(acks, node) && Object.keys(acks).length === 1) {
            const means = `${node} is the last node that lives: when it has drained, nobody is served`;
            const hint = 'start another node first (turnout rollout get shows it), or say --yes';
            if (options.yes !== true) throw new CommandError('usage', means, { hint });
            terminal.say(means);
          }
          const path = `/admin/v1/nodes/${encodeURIComponent(node)}/drain`;
          const body = { reason: options.reason };
          const answer = await client.call(drainAnswerSchema, path, { method: 'POST', body });
          const line = `${node} drains: its streams are told one after the other, then it ends`;
          return { json: answer, lines: () => [line] };
        },
      ),
    );
}
