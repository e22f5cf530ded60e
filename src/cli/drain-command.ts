/** `turnout drain NODE`: sends who is connected to one node elsewhere, through any other node. */
import type { Command } from 'commander';
import { drainAnswerSchema } from '../../schema/admin.ts';
import type { Exit } from './exits.ts';
import { gatewayClient } from './gateway-client.ts';
import { type CommonOptions, reportsTo, withGateway, withOutput, withReason } from './options.ts';
import type { Terminal } from './terminal.ts';

interface DrainOptions extends CommonOptions {
  readonly reason: string;
}

export function addDrainCommand(program: Command, terminal: Terminal): void {
  withReason(withOutput(withGateway(program.command('drain'))))
    .description('send who is connected to one node elsewhere, then end it')
    .argument('<node>', 'its id, as turnout rollout get shows it')
    .action(
      reportsTo(terminal, async (options: DrainOptions, node: string): Promise<Exit> => {
        const client = gatewayClient(terminal, options, ['TURNOUT_ADMIN_TOKEN', 'TURNOUT_TOKEN']);
        const path = `/admin/v1/nodes/${encodeURIComponent(node)}/drain`;
        const body = { reason: options.reason };
        const answer = await client.call(drainAnswerSchema, path, { method: 'POST', body });
        const line = `${node} drains: its streams are told one after the other, then it ends`;
        await terminal.print(options.output === 'json' ? JSON.stringify(answer) : line);
        return 'done';
      }),
    );
}
