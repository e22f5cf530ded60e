/**
 * Asks `unleash-client` who is in a flag's percentage, fed from the rules document through the SDK's `repository` option:
 * it never fetches, sends no metrics, keeps no file and owns no timer.
 */
import { EventEmitter } from 'node:events';
import {
  type ClientFeaturesResponse,
  type Context,
  Strategy,
  Unleash,
  type UnleashConfig,
} from 'unleash-client';
import { type Feature, groupOf } from '../rules/features.ts';
import { bucketCount, bucketOf, type User, userId } from '../rules/user.ts';

type Repository = NonNullable<UnleashConfig['repository']>;
type Toggle = ClientFeaturesResponse['features'][number];
type Segment = NonNullable<ClientFeaturesResponse['segments']>[number];

/** The toggles that the SDK sees: those of the last `replace`. */
export class RulesRepository extends EventEmitter implements Repository {
  private toggles: ReadonlyMap<string, Toggle> = new Map();
  private segments: ReadonlyMap<number, Segment> = new Map();

  replace(features: readonly Toggle[], segments: readonly Segment[] = []): void {
    this.toggles = new Map(features.map((feature) => [feature.name, feature]));
    this.segments = new Map(segments.map((segment) => [segment.id, segment]));
    this.emit('ready');
    this.emit('changed', features);
  }

  getToggle(name: string): Toggle | undefined {
    return this.toggles.get(name);
  }

  getToggles(): Toggle[] {
    return [...this.toggles.values()];
  }

  getTogglesWithSegmentData(): ReturnType<Repository['getTogglesWithSegmentData']> {
    return this.getToggles().map(({ strategies, ...toggle }) => ({
      ...toggle,
      ...(strategies && {
        strategies: strategies.map(({ segments, ...strategy }) => ({
          ...strategy,
          ...(segments && { segments: segments.map((id) => this.getSegment(id)) }),
        })),
      }),
    }));
  }

  getSegment(id: number): Segment | undefined {
    return this.segments.get(id);
  }

  async start(): Promise<void> {}

  stop(): void {
    this.removeAllListeners();
  }
}

/**
 * Unleash's `flexibleRollout` in steps of 0.01 %. Takes the stock strategy's name, and so its place: at whole percents the
 * two give the same answer to everybody.
 */
class FineRollout extends Strategy {
  /** @param random a number in [0, 1), for toggles whose stickiness is `random`; ours never are. */
  constructor(private readonly random: () => number) {
    super('flexibleRollout');
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

type Warn = (fields: object, message: string) => void;

/** The SDK over our repository and with our strategy. Ready from the repository's first `replace` on. */
export function openUnleash(repository: RulesRepository, random: () => number, warn: Warn): Unleash {
  const unleash = new Unleash({
    appName: 'turnout',
    // Asked for by the constructor and never called: repository and metrics are what would.
    url: 'http://unleash.invalid/',
    repository,
    strategies: [new FineRollout(random)],
    disableMetrics: true,
    disableAutoStart: true,
    skipInstanceCountWarning: true,
  });
  // A fault of a toggle repeats with every evaluation: each is told once. Without listeners the SDK prints them itself.
  const told = new Set<string>();
  const tellOnce = (said: unknown): void => {
    const message = said instanceof Error ? said.message : String(said);
    if (told.size >= 100 || told.has(message)) return;
    told.add(message);
    warn({ detail: message }, 'a toggle cannot be evaluated as it stands');
  };
  unleash.on('error', tellOnce);
  unleash.on('warn', tellOnce);
  return unleash;
}

export interface RolloutAnswer {
  readonly isIn: boolean;
  /** 0–9999: the user's place in the flag, in hundredths of a percent. */
  readonly bucket: number;
}

export class Evaluator {
  private readonly repository = new RulesRepository();
  private readonly unleash: Unleash;

  constructor(random: () => number, warn: Warn) {
    this.unleash = openUnleash(this.repository, random, warn);
  }

  /** From now on answers are by these toggles. */
  apply(features: readonly Feature[]): void {
    // Feature is the part of Unleash's type that we rely on, checked by zod; the SDK reads the rest with care.
    this.repository.replace(features as unknown as readonly Toggle[]);
  }

  /** An unknown flag has nobody in it; everybody then stands in the last bucket. */
  ask(flag: string, user: User): RolloutAnswer {
    const toggle = this.repository.getToggle(flag);
    if (toggle === undefined) return { isIn: false, bucket: bucketCount - 1 };
    const id = userId(user);
    const context: Context = { userId: id };
    return {
      isIn: this.unleash.isEnabled(flag, context, false),
      bucket: bucketOf(groupOf(toggle as unknown as Feature), id),
    };
  }

  close(): void {
    this.unleash.destroy();
  }
}
