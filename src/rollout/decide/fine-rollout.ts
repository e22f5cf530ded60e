/**
 * Unleash's `flexibleRollout` in steps of 0.01 %. Takes the stock strategy's name, and so its place: at whole percents the
 * two give the same answer to everybody.
 */
import { type Context, Strategy } from 'unleash-client';
import { bucketOf } from '../rules/hash.ts';

export class FineRollout extends Strategy {
  private readonly random: () => number;

  /** @param random a number in [0, 1), for toggles whose stickiness is `random`; ours never are. */
  constructor(random: () => number) {
    super('flexibleRollout');
    this.random = random;
  }

  override isEnabled(parameters: Record<string, unknown>, context: Context): boolean {
    const percent = Number(parameters['rollout']);
    const id = this.stickyId(textOf(parameters['stickiness']) || 'default', context);
    // `!(x > 0)` and not `x <= 0`: what isn't a number lets nobody in.
    if (id === undefined || id === '' || !(percent > 0)) return false;
    const groupId = textOf(parameters['groupId']) || textOf(context['featureToggle']);
    return bucketOf(groupId, id) < Math.round(percent * 100);
  }

  private stickyId(stickiness: string, context: Context): string | undefined {
    if (stickiness === 'random') return String(this.random());
    if (stickiness === 'default') return context.userId || context.sessionId || String(this.random());
    const value: unknown = context[stickiness] ?? context.properties?.[stickiness];
    return value === undefined || value === null ? undefined : textOf(value);
  }
}

/** As Unleash reads a parameter or a context field: whatever it is, as text; nothing where there is none. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
