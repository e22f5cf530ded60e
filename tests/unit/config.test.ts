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

it.each([
  ['TURNOUT_RULES_MAX_AGE', 'TURNOUT_RULES_MAX_AGE_MS'],
  ['TURNOUT_MAX_REQUESTS_PER_ADDRESS_S', 'TURNOUT_MAX_REQUESTS_PER_ADDRESS_PER_S'],
] as const)('%s is still read, with a warning that gives its new name', (former, name) => {
  const [old, both] = [readConfig({ [former]: '7' }), readConfig({ [former]: '7', [name]: '8' })];
  expect([old[name], both[name], readConfig({ [name]: '8' })[name]]).toEqual([7, 8, 8]);
  for (const { warnings } of [old, both])
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`${former} .*${name}\\b`))]);
  expect(readConfig({ [name]: '8' }).warnings).toEqual([]);
  // An empty value counts as absent, whichever name has it.
  expect(readConfig({ [former]: '7', [name]: ' ' })[name]).toBe(7);
  expect(readConfig({ [former]: '' }).warnings).toEqual([]);
  expect(() => readConfig({ [former]: 'many' })).toThrow(`${former} must be a whole number`);
});
