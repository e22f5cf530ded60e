/** The demo's page: asks for the crowd and the rollout twice a second, and runs two clients of its own. */
import type { AuditEntry } from '../../schema/audit.ts';
import { Controls } from './controls.ts';
import { showCrowd } from './crowd-view.ts';
import { DemoGateway } from './gateway.ts';
import { showMoves } from './moves.ts';
import { write } from './page.ts';
import { startLegacyPane, startSdkPane } from './panes.ts';

const askEveryMs = 500;

async function main(): Promise<void> {
  // This file is `demo/clients/demo/main.js` below the gateway's base path.
  const url = new URL('../../../', import.meta.url).href;
  const tokens = await DemoGateway.tokens(url);
  const gateway = new DemoGateway(url, tokens.admin);
  let timer = 0;
  let entries: readonly AuditEntry[] = [];
  let version = -1;

  const refresh = async (): Promise<void> => {
    clearTimeout(timer);
    try {
      const [crowd, rollout] = await Promise.all([gateway.crowd(), gateway.rollout()]);
      if (rollout.version !== version) {
        entries = await gateway.audit();
        version = rollout.version;
      }
      showCrowd(crowd);
      controls.show(rollout, crowd);
      showMoves(entries, crowd.moves);
    } catch {
      controls.fail('The gateway does not answer. If it was restarted, load this page again.');
    }
    clearTimeout(timer);
    timer = setTimeout(() => void refresh(), askEveryMs);
  };
  const controls = new Controls(gateway, () => void refresh());
  startLegacyPane(url, tokens);
  startSdkPane(url, tokens);
  await refresh();
}

main().catch((thrown: unknown) => {
  write('status', `The page could not start: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
});
