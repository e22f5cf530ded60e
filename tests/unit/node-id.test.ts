/** Nodes that were given no name never share one: they would take each other's acknowledgements for their own. */
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { madeUpNodeId, readConfig } from '../../src/config/config.ts';

it('tells nodes of one host name and one process id apart, by names that the setting would take', () => {
  const names = Array.from({ length: 20 }, () => madeUpNodeId(systemClock));
  expect(new Set(names).size).toBe(20);
  for (const name of names) {
    expect(name).toContain(`-${process.pid}-`);
    expect(readConfig({ TURNOUT_NODE_ID: name }).TURNOUT_NODE_ID).toBe(name);
  }
});
