/** Reads the public keys that verify tokens, each with the one algorithm that its kind allows. */
import { createPublicKey, type KeyObject } from 'node:crypto';

/** @throws Error whose message says what the key must be, and never what it was */
export function readPublicKey(pem: string) {
  if (pem.includes('PRIVATE KEY')) throw new Error('must be a public key; this one is private');
  // An environment file often holds a PEM on one line, its line ends written as \\n.
  const key = parse(pem.replaceAll('\\n', '\n'));
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= 2048) return { key, algorithm: 'RS256' };
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return { key, algorithm: 'ES256' };
  if (type === 'ed25519') return { key, algorithm: 'EdDSA' };
  throw new Error('must be RSA of 2048 bits or more, P-256 or Ed25519');
}

function parse(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch {
    throw new Error('must be a public key in PEM');
  }
}
