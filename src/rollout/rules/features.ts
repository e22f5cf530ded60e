/** Toggles in Unleash's feature format: their shape, and the ones of flags/feature.json that a deployment starts with. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const strategySchema = z.looseObject({
  name: z.string(),
  parameters: z.record(z.string(), z.unknown()).default({}),
  constraints: z.array(z.looseObject({})).default([]),
});

export const featureSchema = z.looseObject({
  name: z.string().min(1),
  enabled: z.boolean(),
  strategies: z.array(strategySchema),
});
/** A toggle as Unleash gives it; fields that we don't read are kept. */
export type Feature = z.infer<typeof featureSchema>;

const featureFileSchema = z.looseObject({ features: z.array(featureSchema) });

/** The flag that decides the transport. */
export const transportFlag = 'realtime-streaming-v2';
/** The flag that tells the SDK whether to reconnect by itself. */
export const autoreconnectFlag = 'ws-autoreconnect';
/** The flag that lets Turnout answer an old API's polls itself. */
export const legacyServeFlag = 'legacy-serve';

/** Reads flags/feature.json, which the build copies beside the built files. @throws when it is missing or malformed. */
export function readFeatureFile(): readonly Feature[] {
  const file = new URL('../../../flags/feature.json', import.meta.url);
  return featureFileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).features;
}

const rolloutOf = (feature: Feature) => feature.strategies.find(({ name }) => name === 'flexibleRollout');

/** The percentage of the toggle's first `flexibleRollout`; 0 where it has none or says nonsense. */
export function percentOf(feature: Feature | undefined): number {
  const percent = feature === undefined ? Number.NaN : Number(rolloutOf(feature)?.parameters['rollout']);
  return percent >= 0 && percent <= 100 ? percent : 0;
}

/** What the toggle's users are hashed with; its name where it says nothing, as stock Unleash does. */
export function groupOf(feature: Feature): string {
  const groupId = rolloutOf(feature)?.parameters['groupId'];
  return typeof groupId === 'string' && groupId !== '' ? groupId : feature.name;
}

/** The toggle at another percentage. Stickiness and group are always written: Unleash's defaults differ by SDK. */
export function withPercent(feature: Feature, percent: number): Feature {
  const before = rolloutOf(feature);
  const rollout = {
    constraints: [],
    ...before,
    name: 'flexibleRollout',
    parameters: {
      ...before?.parameters,
      rollout: String(percent),
      stickiness: 'userId',
      groupId: groupOf(feature),
    },
  };
  const strategies =
    before === undefined
      ? [...feature.strategies, rollout]
      : feature.strategies.map((strategy) => (strategy === before ? rollout : strategy));
  return { ...feature, strategies };
}
