/** What the log's keys and channels are called: all of an org's share one hash tag, so one Cluster node has them together. */

export interface OrgKeys {
  /** meta, stream, and the two hashes of ids, as the scripts take them. */
  readonly all: readonly [meta: string, stream: string, ids0: string, ids1: string];
  readonly channel: string;
}

/**
 * @param prefix without braces: the first pair of braces in a key is its hash tag.
 * @param channelEnd the target's: what another database publishes must not be heard
 */
export function orgKeys(prefix: string, org: string, channelEnd: string): OrgKeys {
  // An org holds no braces by the protocol; encoded, it can't whatever comes here.
  const base = `${prefix}:{${encodeURIComponent(org)}}`;
  return {
    all: [`${base}:meta`, `${base}:stream`, `${base}:ids:0`, `${base}:ids:1`],
    channel: `${base}:tail${channelEnd}`,
  };
}
