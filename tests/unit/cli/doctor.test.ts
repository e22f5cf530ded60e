/** What `doctor` finds wrong, and what it lets pass. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { readConfig } from '../../../src/config/config.ts';
import { clockFinding, portFinding } from '../../../src/cli/doctor/network.ts';
import { isOlder, redisFindings } from '../../../src/cli/doctor/redis.ts';
import { settingsFindings } from '../../../src/cli/doctor/settings.ts';
import { fingerprint } from '../../../src/auth/key-prints.ts';
import { type Finding, findingLines, reportOf } from '../../../src/cli/findings.ts';

const folder = mkdtempSync(join(tmpdir(), 'turnout-doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));

const goodInfo = {
  redis_version: '7.0.15',
  role: 'master',
  maxmemory: '1000',
  used_memory: '100',
  maxmemory_policy: 'noeviction',
  aof_enabled: '1',
  aof_last_write_status: 'ok',
  loading: '0',
};
const judge = (change: Readonly<Record<string, string>> = {}, measured = {}): Finding[] => {
  const lines = Object.entries({ ...goodInfo, ...change }).map(([name, value]) => `${name}:${value}`);
  const info = `# Server\r\n${lines.join('\r\n')}\r\n\r\n`;
  return redisFindings({ place: 'localhost:6379', info, latencyMs: 0.2, offsetMs: 3, ...measured });
};
const troubles = (findings: readonly Finding[]): string[] =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, about }) => `${level}: ${about}`);

describe('redisFindings', () => {
  it('has nothing against a Redis as it should be', () => {
    expect(troubles(judge())).toEqual([]);
  });

  it.each(
    'allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random volatile-ttl'.split(
      ' ',
    ),
  )('refuses the eviction policy %s', (policy) => {
    const findings = judge({ maxmemory_policy: policy });
    expect(troubles(findings)).toEqual(['error: redis eviction']);
    expect(reportOf(findings).healthy).toBe(false);
  });

  it.each<[Record<string, string>, string[]]>([
    [{ aof_enabled: '0' }, ['warning: redis persistence']],
    [{ aof_last_write_status: 'err' }, ['error: redis persistence']],
    [{ redis_version: '6.2.14' }, ['warning: redis version']],
    [{ redis_version: '7.0.14' }, ['warning: redis version']],
    [{ redis_version: '7.2.0' }, []],
    [{ used_memory: '800' }, ['warning: redis memory']],
    [{ used_memory: '799' }, []],
    [{ used_memory: '1000' }, ['error: redis memory']],
    [{ maxmemory: '0', total_system_memory: '100', used_memory: '81' }, ['warning: redis memory']],
    [{ role: 'slave', master_host: 'm', master_port: '1' }, ['error: redis role']],
    [{ loading: '1' }, ['warning: redis loading']],
  ])('judges %j as %j', (change, expected) => {
    expect(troubles(judge(change))).toEqual(expected);
  });

  it('warns of what it is not told, and of a slow or badly set clock', () => {
    const silent = redisFindings({ place: 'x', info: '', latencyMs: 1, offsetMs: 0 });
    expect(troubles(silent)).toEqual(
      ['version', 'eviction', 'persistence', 'memory'].map((about) => `warning: redis ${about}`),
    );
    expect(troubles(judge({}, { latencyMs: 60 }))).toEqual(['warning: redis latency']);
    expect(troubles(judge({}, { offsetMs: -5000 }))).toEqual(['warning: redis clock']);
  });

  it('compares versions by number', () => {
    expect(isOlder('7.0.9', '7.0.15')).toBe(true);
    expect(isOlder('10.0.0', '7.0.15')).toBe(false);
    expect(isOlder('7.0.15', '7.0.15')).toBe(false);
    expect(isOlder('7.1', '7.0.15')).toBe(false);
  });
});

describe('clockFinding', () => {
  it.each([
    [0, 'ok'],
    [1999, 'ok'],
    [-2000, 'warning'],
    [45_000, 'error'],
  ])('holds %d ms apart for %s', (offsetMs, level) => {
    expect(clockFinding('clock', 'the gateway', offsetMs).level).toBe(level);
  });
});

describe('settingsFindings', () => {
  const secret = 'a-secret-of-sixteen-or-more';
  const examine = (env: Readonly<Record<string, string>>) => settingsFindings(env, systemClock).findings;
  const all = (findings: readonly Finding[]): string => JSON.stringify(findings);

  it('tells every broken variable by name, without its value', () => {
    const findings = examine({
      TURNOUT_PORT: 'nonsense',
      TURNOUT_HOST: '0.0.0.0',
      TURNOUT_JWT_SECRET: 'short-secret',
    });
    expect(findings.map(({ level }) => level)).toEqual(['error', 'error']);
    expect(all(findings)).toContain('TURNOUT_PORT');
    expect(all(findings)).not.toMatch(/nonsense|short-secret/);
  });

  it('warns of a secret that is short enough to be guessed', () => {
    const findings = examine({ TURNOUT_JWT_SECRET: 'short-secret' });
    expect(findings).toContainEqual(
      expect.objectContaining({ level: 'warning', about: 'TURNOUT_JWT_SECRET' }),
    );
    expect(all(findings)).not.toContain('short-secret');
  });

  it("warns of an issuer's key set whose tokens for others would be good", () => {
    const keys = { TURNOUT_JWKS_URL: 'https://login.example.com/keys' };
    const asked = (env: Readonly<Record<string, string>>) =>
      examine(env).filter(({ about }) => about === 'audience');
    expect(asked(keys)).toMatchObject([{ level: 'warning' }]);
    expect(asked({ ...keys, TURNOUT_JWT_AUDIENCE: 'realtime' })).toEqual([]);
  });

  it('shows keys by a print that tells them apart and gives none away', () => {
    const findings = examine({ TURNOUT_JWT_SECRET: secret, TURNOUT_ADMIN_TOKEN: `${secret}-admin` });
    expect(all(findings)).toContain(fingerprint(secret));
    expect(all(findings)).not.toContain(secret);
    expect(fingerprint(secret)).toMatch(/^[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}$/);
    expect(fingerprint(secret)).not.toBe(fingerprint(`${secret}x`));
  });

  it('prints one key alike, however its PEM is written', () => {
    const { publicKey } = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const printOf = (pem: string): string | undefined =>
      examine({ TURNOUT_JWT_PUBLIC_KEY: pem }).find(({ about }) => about === 'signing key')?.message;
    expect(printOf(publicKey)).toMatch(/TURNOUT_JWT_PUBLIC_KEY [0-9a-f-]{14}/);
    expect(printOf(publicKey.trim().replaceAll('\n', '\\n'))).toBe(printOf(publicKey));
    expect(troubles(examine({ TURNOUT_JWT_PUBLIC_KEY: publicKey }))).toEqual([
      'warning: admin roles',
      'warning: ticket key',
    ]);
  });

  it('names the variable that caps the node, and a kill file that stands', () => {
    const path = join(folder, 'kill');
    writeFileSync(path, 'ann: errors\n');
    const findings = examine({
      TURNOUT_JWT_SECRET: secret,
      REALTIME_ROLLOUT_PERCENT: '0',
      TURNOUT_KILL_FILE: path,
    });
    expect(troubles(findings)).toEqual(['warning: cap', 'warning: kill file']);
    expect(all(findings)).toContain('by REALTIME_ROLLOUT_PERCENT');
    expect(all(findings)).toContain('ann: errors');
    const noFolder = { TURNOUT_JWT_SECRET: secret, TURNOUT_KILL_FILE: join(folder, 'none', 'kill') };
    expect(troubles(examine(noFolder))).toEqual(['warning: kill file']);
  });
});

describe('portFinding', () => {
  it('tells a free port from one that something else holds', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n', () => socket.destroy()));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const config = readConfig({ TURNOUT_PORT: port });
    expect(await portFinding(config)).toMatchObject({ level: 'error' });
    await new Promise((resolve) => {
      server.close(resolve);
    });
    expect(await portFinding(config)).toMatchObject({ level: 'ok' });
  });
});

describe('findingLines', () => {
  it('ends with a verdict that warnings do not change', () => {
    const warned = reportOf([{ level: 'warning', about: 'log', message: 'is in memory', next: 'set a URL' }]);
    expect(findingLines(warned)).toEqual([
      'WARN  log  is in memory',
      '           next: set a URL',
      'healthy: 0 to put right, 1 warnings',
    ]);
  });
});
