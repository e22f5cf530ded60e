/** What a bench says at its end: a table for people, a JSON file for the record. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type Histogram, build } from 'hdr-histogram-js';

/** With `--quick` a bench or a scenario only shows that it still runs: about a second long, and none of its figures counts. */
export const isQuick = process.argv.includes('--quick');

export type Row = Readonly<Record<string, string | number | boolean>>;

/** Microseconds, up to a minute, to three digits. */
export const newHistogram = (): Histogram =>
  build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });

export const quantileMs = (histogram: Histogram, percent: number): number =>
  round(histogram.getValueAtPercentile(percent) / 1000, 2);

export function round(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Least squares: how much `y` grows for each unit of `x`. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return variance === 0 ? 0 : covariance / variance;
}

export function printTable(rows: readonly Row[]): void {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => show(row[column])))];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => (line[index] ?? '').length)));
  for (const line of lines)
    console.log(line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '));
}

const show = (value: Row[string] | undefined): string =>
  typeof value === 'number' ? value.toLocaleString('en-US') : String(value ?? '');

/** Prints the rows and, unless the run is a quick one, writes `loadtest/results/NAME.json`. */
export function report(name: string, about: Readonly<Record<string, unknown>>, rows: readonly Row[]): void {
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version };
  const result = { bench: name, at: new Date().toISOString(), isQuick, machine, ...about, rows };
  if (isQuick) console.log('a quick run: these are no figures');
  else {
    const folder = new URL('results/', import.meta.url);
    mkdirSync(folder, { recursive: true });
    writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(result, null, 2)}\n`);
  }
  console.log();
  printTable(rows);
  console.log(JSON.stringify(result));
}

/** Those whose name holds the text of `--only`; all without it. */
export function chosen<T extends { readonly name: string }>(contenders: readonly T[]): readonly T[] {
  const at = process.argv.indexOf('--only');
  const part = at < 0 ? '' : (process.argv[at + 1] ?? '');
  return contenders.filter(({ name }) => name.includes(part));
}

/** `--clients 30` as a whole number. */
export function countOption(name: string, fallback: number, quick?: number): number {
  const count = numberOption(name, fallback, quick);
  if (!Number.isInteger(count)) throw new Error(`--${name} takes a whole number above 0`);
  return count;
}

/** `--seconds 30` as a number; without it `fallback`, or `quick` in a quick run. */
export function numberOption(name: string, fallback: number, quick = fallback): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? (isQuick ? quick : fallback) : Number(process.argv[at + 1]);
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0`);
  return value;
}
