/** An authority of a test's own and a certificate by it, as an operator makes them for a Redis inside the house. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureCommand } from './debian.ts';

export interface Certificates {
  /** The authority's certificate, a file. */
  readonly authority: string;
  /** Lines of redis.conf, as arguments: TLS on `port`, for clients that show no certificate. */
  redis(port: number): string[];
  remove(): Promise<void>;
}

export async function makeCertificates(): Promise<Certificates> {
  const openssl = await ensureCommand('openssl', 'openssl');
  const folder = await mkdtemp(join(tmpdir(), 'turnout-tls-'));
  const run = (...args: string[]) => promisify(execFile)(openssl, args, { cwd: folder });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'.split(' ');
  await run(
    'req',
    '-x509',
    ...key,
    '-subj',
    '/CN=house',
    '-days',
    '2',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  );
  await run('req', ...key, '-subj', '/CN=redis', '-keyout', 'redis.key', '-out', 'redis.csr');
  await writeFile(join(folder, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  const authority = '-CA ca.pem -CAkey ca.key -CAcreateserial -days 2'.split(' ');
  await run('x509', '-req', '-in', 'redis.csr', ...authority, '-extfile', 'names', '-out', 'redis.pem');
  const file = (name: string): string => join(folder, name);
  return {
    authority: file('ca.pem'),
    redis: (port) =>
      [
        `--tls-port ${port} --tls-auth-clients no --tls-replication yes`,
        `--tls-cert-file ${file('redis.pem')} --tls-key-file ${file('redis.key')}`,
        `--tls-ca-cert-file ${file('ca.pem')}`,
      ].flatMap((line) => line.split(' ')),
    remove: () => rm(folder, { recursive: true }),
  };
}
