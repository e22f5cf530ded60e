/** The slider, the kill switch and the line that says where the rollout stands. */
import type { ChangeAnswer, RolloutBody } from '../../schema/admin.ts';
import type { DemoGateway } from './gateway.ts';
import { byId, write } from './page.ts';
import type { CrowdState } from './state.ts';

export class Controls {
  private readonly gateway: DemoGateway;
  private readonly slider = byId('percent', HTMLInputElement);
  private readonly kill = byId('kill', HTMLButtonElement);
  private readonly unkill = byId('unkill', HTMLButtonElement);
  /** Changes go out one after another; of the slider's only the last that waits. */
  private isBusy = false;
  private wanted: number | undefined;
  /** Why the last change was not made; empty where it was. */
  private problem = '';
  /** Of the rules that the last change made. */
  private version = 0;

  constructor(gateway: DemoGateway, onChanged: () => void) {
    this.gateway = gateway;
    this.slider.addEventListener('input', () => this.showPercent());
    this.slider.addEventListener('change', () => {
      this.wanted = this.slider.valueAsNumber;
      void this.sendPercent(onChanged);
    });
    this.kill.addEventListener('click', () => void this.send(() => gateway.kill(), onChanged));
    this.unkill.addEventListener('click', () => void this.send(() => gateway.unkill(), onChanged));
  }

  show(rollout: RolloutBody, { members }: CrowdState): void {
    document.body.classList.remove('away');
    const { killed, percent, version } = rollout;
    // Asked for before the change was made: the slider would jump back for a moment.
    if (version < this.version) return;
    this.slider.disabled = false;
    this.kill.disabled = killed;
    this.unkill.disabled = !killed;
    document.body.classList.toggle('killed', killed);
    // A hand on the slider knows better than an answer that is on its way.
    if (!this.isBusy && this.wanted === undefined && !this.slider.matches(':active')) {
      this.slider.valueAsNumber = percent;
      this.showPercent();
    }
    const sdk = members.filter(({ kind }) => kind === 'sdk');
    const up = sdk.filter(({ transport }) => transport === 'websocket').length;
    const killing = up > 0 ? `${up} users are still on WebSocket` : 'everybody is on long-poll';
    const where = killed ? `Killed: ${killing}.` : `${up} of ${sdk.length} SDK users are on WebSocket.`;
    write('status', `${this.problem} ${where}`.trim());
  }

  fail(message: string): void {
    document.body.classList.add('away');
    write('status', message);
  }

  private showPercent(): void {
    write('percent-shown', `${this.slider.value} %`);
  }

  private async sendPercent(onChanged: () => void): Promise<void> {
    if (this.isBusy) return;
    while (this.wanted !== undefined) {
      const percent = this.wanted;
      this.wanted = undefined;
      await this.send(() => this.gateway.setPercent(percent), onChanged);
    }
  }

  private async send(change: () => Promise<ChangeAnswer>, onChanged: () => void): Promise<void> {
    this.isBusy = true;
    try {
      this.version = (await change()).version;
      this.problem = '';
    } catch (thrown) {
      this.problem = `Not done: ${thrown instanceof Error ? thrown.message : String(thrown)}.`;
    } finally {
      this.isBusy = false;
    }
    onChanged();
  }
}
