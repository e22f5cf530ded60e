/** What `doctor` has to say: findings, and how they read. Pure. */
import { z } from 'zod';

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

const finding =
  (level: Finding['level']) =>
  (about: string, message: string, next?: string): Finding => ({
    level,
    about,
    message,
    ...(next !== undefined && { next }),
  });

export const ok = finding('ok');
export const warning = finding('warning');
export const error = finding('error');

/** Warnings don't make a node ill. */
export const reportOf = (findings: readonly Finding[]): DoctorReport => ({
  healthy: findings.every(({ level }) => level !== 'error'),
  findings: [...findings],
});

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
