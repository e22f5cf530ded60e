/** What `doctor` has to say: findings, and how they read. Pure. */
import { z } from 'zod';
import type { Outcome } from './options.ts';
import { printable } from './terminal.ts';

const findingSchema = z.object({
  level: z.enum(['ok', 'warning', 'error']),
  /** What was looked at: `settings`, `redis memory`. */
  about: z.string(),
  /** What was found; never a secret. */
  message: z.string(),
  /** What to do about it. */
  next: z.string().optional(),
});
export type Finding = z.infer<typeof findingSchema>;

export const doctorReportSchema = z.object({ healthy: z.boolean(), findings: z.array(findingSchema) });
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** Makes the findings about one thing. */
export function findingsAbout(what: string) {
  const finding =
    (level: Finding['level']) =>
    (message: string, next?: string): Finding => ({
      level,
      about: what,
      message,
      ...(next !== undefined && { next }),
    });
  return { ok: finding('ok'), warning: finding('warning'), error: finding('error') };
}

/** Warnings don't make a node ill. */
export const reportOf = (findings: readonly Finding[]): DoctorReport => ({
  healthy: findings.every(({ level }) => level !== 'error'),
  findings: [...findings],
});

/** As `doctor` and `legacy check` end. */
export function outcomeOf(findings: readonly Finding[]): Outcome {
  const json = reportOf(findings);
  return { json, lines: () => findingLines(json).map(printable), exit: json.healthy ? 'done' : 'usage' };
}

const marks = { ok: 'ok  ', warning: 'WARN', error: 'FAIL' } as const;

export function findingLines({ findings, healthy }: DoctorReport): string[] {
  const wide = Math.max(...findings.map(({ about }) => about.length), 0);
  const lines = findings.flatMap(({ level, about, message, next }) => [
    `${marks[level]}  ${about.padEnd(wide)}  ${message}`,
    ...(next === undefined ? [] : [`${' '.repeat(wide + 8)}next: ${next}`]),
  ]);
  const count = (level: Finding['level']): number => findings.filter((one) => one.level === level).length;
  const sum = `${count('error')} to put right, ${count('warning')} warnings`;
  return [...lines, healthy ? `healthy: ${sum}` : `NOT healthy: ${sum}`];
}
