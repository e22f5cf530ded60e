/** Fingerprints of the keys that nodes must share: they tell two keys apart and give neither away. */
import { hkdfSync } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { readPublicKey } from '../config/public-key.ts';

/** Fingerprints by the key's use. Each node publishes its own, so that `turnout doctor` finds the node that differs. */
export interface KeyPrints {
  readonly signing?: string;
  readonly ticket?: string;
}

/** Stands for a ticket key that no setting gives: the nodes make one together in Redis (ticket-key.ts). */
export const sharedTicketKey = 'shared-in-redis';

/**
 * Twelve hex digits that tell two keys apart and give neither away: HKDF-SHA256 of the key, 48 bits. Nodes whose prints
 * differ refuse each other's tokens or tickets.
 */
export function fingerprint(key: string | Uint8Array): string {
  const print = Buffer.from(hkdfSync('sha256', key, '', 'turnout-fingerprint', 6)).toString('hex');
  return print.replaceAll(/(.{4})(?=.)/g, '$1-');
}

/** Returns the key itself, so that line ends and headers of the PEM don't change its fingerprint. */
const publicBytes = (pem: string): Uint8Array =>
  readPublicKey(pem).key.export({ type: 'spki', format: 'der' });

/** Returns the fingerprints of the configured keys; a key that the node made up or doesn't need is absent. */
export function keyPrints(config: Config): KeyPrints {
  const { TURNOUT_JWT_SECRET: secret, TURNOUT_JWT_PUBLIC_KEY: pem, TURNOUT_JWKS_URL: jwks } = config;
  const key = pem === undefined ? (secret ?? jwks ?? config.TURNOUT_AUTH_URL) : publicBytes(pem);
  if (key === undefined) return {};
  const ticketSecret = config.TURNOUT_TICKET_SECRET ?? secret;
  return {
    signing: fingerprint(key),
    ticket: ticketSecret === undefined ? sharedTicketKey : fingerprint(ticketSecret),
  };
}
