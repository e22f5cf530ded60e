/** The demo signs tokens for whoever reads its output: only where nothing else is configured (docs/PROTOCOL.md, 13). */
import { expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const isDemo = (env: Record<string, string>): boolean => {
  try {
    return readConfig({ TURNOUT_DEMO: 'true', ...env }).isDemo;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
};

it.each([
  ['a secret', { TURNOUT_JWT_SECRET: 'a-secret-of-production' }],
  ['a key set', { TURNOUT_JWKS_URL: 'https://login.example.com/keys' }],
])('is refused or off beside %s', (_what, env) => {
  expect(isDemo({})).toBe(true);
  expect(isDemo(env)).toBe(false);
  expect(isDemo({ ...env, TURNOUT_HOST: '0.0.0.0' })).toBe(false);
});
