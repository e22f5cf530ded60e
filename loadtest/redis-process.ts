/** The Redis that a bench runs against: one of its own, which ends with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** redis-server on a free port, nothing kept on disk. */
export async function startRedis(): Promise<{ readonly port: number; readonly child: ChildProcess }> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  probe.close();
  await once(probe, 'close');
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  process.on('exit', () => child.kill('SIGKILL'));
  await Promise.race([
    once(child, 'spawn'),
    once(child, 'error').then(([error]) => {
      throw new Error('redis-server is missing: apt-get install redis-server', { cause: error });
    }),
  ]);
  return { port, child };
}
