/**
 * Where the processors' time went: to each process of a run, to whatever else this machine does, and to the host's other
 * guests. So that a figure from a busy machine says so itself. Reads /proc; where there is none, nothing is known.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg, setPriority } from 'node:os';

// The unit of /proc's times: USER_HZ, which Linux has fixed at 100.
const tickMs = 10;

/** Processor time that a process has used since it started, all threads, milliseconds. */
export function processCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may hold spaces: the fields are counted from behind it. utime is field 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Processor time that its main thread has used since it started, milliseconds. */
export function mainThreadCpuMs(pid: number): number {
  const [ranNs = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return ranNs / 1e6;
}

/** How long its main thread stood ready to run and no core was free, since it started, milliseconds. */
function processWaitedMs(pid: number): number {
  const [, waitedNs = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return waitedNs / 1e6;
}

/**
 * Gives processes, and the session that they run in, precedence over whatever else the machine does: what a neighbour holds
 * up is no figure of ours. Until this process ends. @returns false where this user may not
 */
export function goAhead(pids: readonly number[]): boolean {
  try {
    for (const pid of pids) setPriority(pid, ahead);
    // Where the kernel groups processes by session it ranks the groups first, and a process only within its own.
    if (existsSync(sessionRank)) {
      writeFileSync(sessionRank, String(ahead));
      process.once('exit', () => writeFileSync(sessionRank, '0'));
    }
    return true;
  } catch {
    return false;
  }
}

const ahead = -15;
const sessionRank = '/proc/self/autogroup';

type Percents = Readonly<Record<string, number>>;

/** Percent of the time of a phase, by the name of the process. */
export interface Lap {
  /** 100 is one core. `elsewhere`: this machine's other processes and its kernel's own work; `stolen`: the host's guests. */
  readonly cpu: Percents;
  /** Its main thread was ready to run, and no core was free. */
  readonly waited: Percents;
  readonly loadAverage: number;
}

interface Spent {
  readonly atMs: number;
  readonly cpu: Readonly<Record<string, number>>;
  readonly waited: Readonly<Record<string, number>>;
}

export class ProcessorTime {
  private readonly pids: Readonly<Record<string, number>>;
  private before: Spent;

  constructor(pids: Readonly<Record<string, number>>) {
    this.pids = pids;
    this.before = this.spent();
  }

  /** Since the last lap. */
  lap(): Lap {
    const now = this.spent();
    const { before } = this;
    this.before = now;
    const percents = (which: 'cpu' | 'waited'): Percents =>
      Object.fromEntries(
        Object.entries(now[which]).map(([name, ms]) => [
          name,
          Math.round(((ms - (before[which][name] ?? 0)) / (now.atMs - before.atMs)) * 100),
        ]),
      );
    const loadAverage = Math.round((loadavg()[0] ?? 0) * 10) / 10;
    return { cpu: percents('cpu'), waited: percents('waited'), loadAverage };
  }

  private spent(): Spent {
    const atMs = performance.now();
    if (!existsSync('/proc/self/schedstat')) return { atMs, cpu: {}, waited: {} };
    const each = (read: (pid: number) => number): Record<string, number> =>
      Object.fromEntries(Object.entries(this.pids).map(([name, pid]) => [name, read(pid)]));
    const ours = each(processCpuMs);
    const sum = Object.values(ours).reduce((total, ms) => total + ms, 0);
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
    const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = line
      .split(/\s+/)
      .slice(1)
      .map((ticks) => Number(ticks) * tickMs);
    const elsewhere = user + nice + system + irq + softIrq - sum;
    return { atMs, cpu: { ...ours, elsewhere, stolen }, waited: each(processWaitedMs) };
  }
}
