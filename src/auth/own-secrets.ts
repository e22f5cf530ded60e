/**
 * Recognises Turnout's own secrets in what callers bring: an operator's slip must not show them to an auth server. Compares
 * in constant time, and keeps digests alone.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { type Config, secretNames } from '../config/config.ts';
import type { Credential } from './credential.ts';
import { ticketType } from './tickets.ts';

/** Returns whether both are equal, in a time that tells nothing of either. */
export const isSameSecret = (one: string, other: string): boolean =>
  timingSafeEqual(digest(one), digest(other));

/** Returns what tells whether a credential holds one of the settings' secrets, or is a ticket, of whatever node. */
export function ownSecretsOf(config: Pick<Config, (typeof secretNames)[number]>) {
  const digests = secretNames.flatMap((name) => {
    const secret = config[name];
    return secret === undefined ? [] : [digest(secret)];
  });
  const isSecret = (text: string): boolean => {
    const given = digest(text);
    // All of them are compared, so that the time doesn't tell which one it was.
    return digests.filter((own) => timingSafeEqual(own, given)).length > 0;
  };
  return (credential: Credential): boolean =>
    credential.parts().filter((part) => isTicket(part) || isSecret(part)).length > 0;
}

function isTicket(text: string): boolean {
  try {
    return decodeProtectedHeader(text).typ === ticketType;
  } catch {
    return false;
  }
}

// Hashed first, because the comparison in constant time wants equal lengths, and a length is a hint.
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
