/** What undici says went wrong with an old backend, as an error of our table. Pure. */
import { codeIn, fail, type TurnoutError } from '../../errors.ts';

const late = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);
const ours = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED']);

/** The message names no address: who asks is not told what stands behind. */
export function upstreamError(cause: Error): TurnoutError {
  const code = codeIn(cause) ?? '';
  if (late.has(code)) return fail('upstream_timeout', undefined, { cause });
  // A target or a header that HTTP forbids, which node:http let in.
  if (ours.has(code)) return fail('bad_request', undefined, { cause });
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return fail('upstream_unreachable', "the headers of the backend's answer are too large", { cause });
  if (code.startsWith('HPE_'))
    return fail('upstream_unreachable', "the backend's answer is not HTTP", { cause });
  return fail('upstream_unreachable', undefined, { cause });
}
