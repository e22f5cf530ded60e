/** The settings of authentication: keys, claims, cookies, an auth server. */
import { orgSchema } from '../../schema/envelope.ts';
import { servicePatternSchema } from '../../schema/token.ts';
import { readPublicKey } from './public-key.ts';
import { httpUrl, int, list, place, readableBy, secret, text, url } from './setting-forms.ts';

export const identitySettings = {
  TURNOUT_JWT_SECRET: secret
    .optional()
    .describe('Verifies tokens signed with HS256. Give one of this and the next two; none: the demo.'),
  TURNOUT_JWT_PUBLIC_KEY: readableBy(readPublicKey)
    .optional()
    .describe('Verifies tokens signed with RS256, ES256 or EdDSA: a public key in PEM.'),
  TURNOUT_JWKS_URL: url.optional().describe('The same, with the keys that stand at this address.'),
  TURNOUT_JWT_ISSUER: text.optional().describe("What a token's `iss` must be; absent: it is not looked at."),
  TURNOUT_JWT_AUDIENCE: list
    .refine((audience) => audience.length > 0, 'must name one at least')
    .optional()
    .describe(
      "What a token's `aud` must name one of; absent: it is not looked at. To be set where the issuer signs tokens for other services too: theirs would be good here.",
    ),
  TURNOUT_JWT_LEEWAY_S: int(0, 300).default(0).describe('Seconds for which an expired token is still good.'),
  TURNOUT_CLAIM_USER: place
    .default('sub')
    .describe('Where the user stands in a token: `sub`, `user.id`, `https://example.com/user`.'),
  TURNOUT_CLAIM_ORG: place.optional().describe('Where the org stands in a token; absent: `org`.'),
  TURNOUT_CLAIM_GRANTS: place
    .optional()
    .describe(
      'Where in a token the object stands that holds `services`, `publish`, `roles` and `orgs`; absent: the token itself, where with a public key or a key set `viewer`, `operator` and `admin` do not count. `$`: the token itself, with all roles.',
    ),
  TURNOUT_ORG: text
    .refine((value) => orgSchema.safeParse(value).success, 'must be 1 to 128 of A-Z a-z 0-9 . _ @ : -')
    .optional()
    .describe('The org of every user, whatever tokens and the auth server say.'),
  TURNOUT_USER_PUBLISH: list
    .refine(
      (patterns) => patterns.every((pattern) => servicePatternSchema.safeParse(pattern).success),
      'must be a list of services, or of patterns such as chat/*',
    )
    .default([])
    .describe('Services that a user may publish to where no claim `publish` says which.'),
  TURNOUT_AUTH_COOKIE: text
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'must be the name of a cookie')
    .optional()
    .describe(
      "Name of the cookie that is taken where no `Authorization` header comes: for polls; for what changes something or opens a stream, from this origin's and `TURNOUT_ORIGINS`' pages only.",
    ),
  TURNOUT_AUTH_URL: httpUrl
    .optional()
    .describe(
      'Asked whose a credential is that no key verifies: a GET with it and nothing else, answered 2xx with JSON. With it, no key for tokens is needed.',
    ),
  TURNOUT_AUTH_USER: place.default('user').describe("Where the user stands in that server's answer."),
  TURNOUT_AUTH_ORG: place.optional().describe("Where the org stands in that server's answer; absent: `org`."),
  TURNOUT_AUTH_CACHE_S: int(1, 3600)
    .default(30)
    .describe('Seconds for which its answer is good: a withdrawn credential outlives its end by no more.'),
  TURNOUT_AUTH_TIMEOUT_MS: int(50, 30_000).default(3000).describe('How long that server may take.'),
  TURNOUT_AUTH_OUTAGE_S: int(0, 86_400)
    .default(300)
    .describe('How long an open stream stays while that server cannot be asked; new ones are answered 503.'),
  TURNOUT_TICKET_SECRET: secret
    .optional()
    .describe('Signs tickets; absent: derived from the JWT secret, or random for this run.'),
  TURNOUT_ADMIN_TOKEN: secret.optional().describe('A bearer token that may do everything at the admin API.'),
} as const;
