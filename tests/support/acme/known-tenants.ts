/** Tenants whose streams are there, empty, before anything is said to them: a bridge finds a new one within seconds. */
import type { RedisServer } from '../redis.ts';
import { type NewTenant, someTenant } from './suite.ts';

/** Before the bridge begins. @returns one after the other, then ones that no bridge knows */
export async function knownTenants({ client }: RedisServer, count: number): Promise<NewTenant> {
  const names = Array.from({ length: count }, someTenant);
  for (const name of names) {
    const id = (await client.xadd(`updates:${name}`, '*', 'seq', '0')) ?? '';
    await client.xdel(`updates:${name}`, id);
  }
  return () => names.pop() ?? someTenant();
}
