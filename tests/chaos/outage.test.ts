/**
 * Redis fails in every way it can while 100 readers on two nodes and both transports read what is published at 200 events/s.
 * Per reader: received = what the log kept, in order, once, or told `reset` with the right reason.
 */
import { describe, expect, it } from 'vitest';
import { lossless, sound, suiteFleet } from '../support/outage-fleet.ts';

const frozenMs = 10_000;

// Beside the others: it does little but wait.
describe.concurrent('a Redis that is frozen', () => {
  const outcomeOf = suiteFleet(frozenMs);

  it('loses nothing and resets nobody when it is thawed after ten seconds', async () => {
    expect(await outcomeOf('frozen')).toMatchObject(lossless);
  });
});

describe.concurrent('a Redis', () => {
  const outcomeOf = suiteFleet(frozenMs);

  it.sequential('loses nothing and resets nobody when it is killed and comes back with its file [P2 P9]', async () => {
    expect(await outcomeOf('killed')).toMatchObject(lossless);
  });

  it.sequential('loses nothing and resets nobody when it is full and given more memory', async () => {
    expect(await outcomeOf('full')).toMatchObject(lossless);
  });

  it.sequential('loses nothing and resets nobody when the connections of its tails are killed', async () => {
    expect(await outcomeOf('tailKilled')).toMatchObject(lossless);
  });

  it.sequential('loses nothing and resets nobody when the connections of its commands are killed', async () => {
    expect(await outcomeOf('commandsKilled')).toMatchObject(lossless);
  });

  it.sequential('tells every reader ahead or fork when it comes back with an older file', async () => {
    const outcome = await outcomeOf('rewound');
    expect(outcome).toMatchObject(sound);
    expect(outcome.resets).toMatch(/^(\d+ (ahead|fork)(, )?)+$/);
  });

  it.sequential('tells every reader epoch when it comes back empty', async () => {
    expect(await outcomeOf('emptied')).toMatchObject({ ...sound, resets: '100 epoch' });
  });
});
