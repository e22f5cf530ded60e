/** docs/METRICS.md as src/metrics/metrics.ts declares the metrics now. */
import { Metrics } from '../../src/metrics/metrics.ts';

interface Declared {
  readonly name: string;
  readonly help: string;
  /** As prom-client keeps it, which its types don't tell. */
  readonly labelNames?: readonly string[];
}

export async function metricsDocument(): Promise<string> {
  const { registry } = new Metrics();
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]));
  const declared = registry.getMetricsAsArray() as unknown as readonly Declared[];
  const rows = [...declared]
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, help, labelNames = [] }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${types.get(name) ?? ''} | ${labels || '–'} | ${help} |`;
    });
  return [
    '# Metrics',
    '',
    'What `/metrics` answers, besides the process’s own figures (`process_*`, `nodejs_*`). Written by `npm run schema`.',
    '`reason` and `code` come from `schema/codes.ts`, or are one of a few `peer_…` for what a peer may send: never its words.',
    '',
    '| metric | type | labels | what it is |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
