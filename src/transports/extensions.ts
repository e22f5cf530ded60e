/**
 * The extensions of an upgrade: which offers of the client ws is shown, and what the answer allows. An offer that isn't
 * understood is passed over (RFC 7692, 5): ws would refuse the whole upgrade for it, and the client would not learn why.
 */

const bits = '(?:[89]|1[0-5])';
const windowSize = `=(?:${bits}|"${bits}")`;
const parameter = new RegExp(
  `^(?:server_no_context_takeover|client_no_context_takeover|server_max_window_bits${windowSize}|client_max_window_bits(?:${windowSize})?)$`,
);

/** @returns of `Sec-WebSocket-Extensions` what ws can take, in the client's order; undefined where that is nothing. */
export function understoodOffers(header: string): string | undefined {
  const offers = header.split(',').map((offer) => offer.trim());
  return offers.filter(isUnderstood).join(', ') || undefined;
}

function isUnderstood(offer: string): boolean {
  const [name, ...parameters] = offer.split(';').map((part) => part.trim());
  const names = new Set(parameters.map((text) => text.split('=', 1)[0]));
  return (
    name === 'permessage-deflate' &&
    names.size === parameters.length &&
    parameters.every((text) => parameter.test(text))
  );
}

/** True where the peer inflates what was deflated with a full window: a smaller one would fail with 1007. */
export function takesSharedDeflate(extensions: string): boolean {
  const window = /server_max_window_bits=(\d+)/i.exec(extensions)?.[1];
  return /permessage-deflate/i.test(extensions) && (window === undefined || window === '15');
}
