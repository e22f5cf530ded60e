/** Settings that weigh on each other; what each may be alone stands in docs/CONFIGURATION.md. */
import { expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';

it.each(['TURNOUT_JWT_SECRET', 'TURNOUT_TICKET_SECRET', 'TURNOUT_ADMIN_TOKEN'])(
  '%s may be short on loopback, which is told, and nowhere else',
  (name) => {
    const [short, long] = [{ [name]: 'test-secret' }, { [name]: 'a-secret-of-24-characters' }];
    const away = { TURNOUT_HOST: '0.0.0.0', TURNOUT_AUTH_URL: 'https://login.example.com/whoami' };
    expect(readConfig(short).shortSecrets).toEqual([name]);
    expect(readConfig(long).shortSecrets).toEqual([]);
    expect(readConfig({ ...away, ...long }).shortSecrets).toEqual([]);
    const refused = (): unknown => readConfig({ ...away, ...short });
    expect(refused).toThrow(ConfigError);
    expect(refused).toThrow(`${name} must have 16 characters or more`);
    expect(refused).not.toThrow('test-secret');
  },
);
